"""CSV as Spark 3.1 writes it for BigDL PPML, turned into the CSV that the rest of the world reads (RFC 4180).

In a quoted cell the original puts a backslash before a quote and before a backslash; RFC 4180 doubles quotes
and leaves backslashes alone. All else is the same: text without these two pairs goes through untouched.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

#: A line without an end is passed on in pieces of this size, as it is.
_MAX_LINE: Final = 4 << 20
_QUOTED = re.compile(rb'(?:(?<=[,\r\n])|\A)"((?:[^"\\]|\\.|"")*+)"(?=[,\r\n]|\Z)', re.DOTALL)
_ESCAPED = re.compile(rb'\\(["\\])')
_PLAIN = {b'"': b'""', b"\\": b"\\"}


def rfc4180(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The same cells in the other dialect, whatever the borders of the pieces."""
    rest = b""
    for piece in pieces:
        text = rest + piece
        end = text.rfind(b"\n") + 1
        if not end and len(text) > _MAX_LINE:
            end = len(text)
        rest = text[end:]
        yield _converted(text[:end])
    yield _converted(rest)


def _converted(lines: bytes) -> bytes:
    if b'\\"' not in lines and b"\\\\" not in lines:
        return lines
    return _QUOTED.sub(lambda cell: b'"' + _ESCAPED.sub(_replaced, cell[1]) + b'"', lines)


def _replaced(escaped: re.Match[bytes]) -> bytes:
    return _PLAIN[escaped[1]]

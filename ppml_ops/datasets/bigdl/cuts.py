"""Where to cut a text file in two, for the lengths that the original can't read (`is_unreadable_there`).

About one file of 4,400 has such a length. Records stay whole, and in CSV the second half repeats the header.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ppml_ops.crypto.bigdl.layout import is_unreadable_there
from ppml_ops.errors import DataError

_TAIL = 1 << 20
_CANDIDATES = 256
#: A header line longer than this is none.
MAX_HEADER = 1 << 20


class Piece(NamedTuple):
    """Bytes `start` to `end` of a file, with `prefix` before them: what goes into one part."""

    start: int
    end: int
    prefix: bytes = b""


def pieces(length: int, form: str, chunks: Callable[[], Iterator[bytes]]) -> list[Piece]:
    """One piece for nearly every file of `length` bytes, two where one would be unreadable.

    Args:
        form: `csv`, `json` or `txt`; in `csv` line feeds inside quotes are no ends of records.
        chunks: reads the file from its beginning; called only when it must be cut.

    Raises:
        DataError: there is no record boundary to cut at.
    """
    if not is_unreadable_there(length):
        return [Piece(0, length)]
    header = b""
    candidates: deque[int] = deque(maxlen=_CANDIDATES)
    for end in _record_ends(length, form, chunks()):
        if form == "csv" and not header:
            header = end.record
        elif end.offset < length:
            candidates.append(end.offset)
    for offset in reversed(candidates):
        if not (is_unreadable_there(offset) or is_unreadable_there(len(header) + length - offset)):
            return [Piece(0, offset), Piece(offset, length, header)]
    raise DataError(
        f"BigDL PPML can't read a file of {length} bytes, and there is no line to cut it at",
        next_step="split the file in two, or seal it for PPML Ops instead",
    )


class _End(NamedTuple):
    """Offset after a record's line feed; the record itself for the first one, else nothing."""

    offset: int
    record: bytes


def _record_ends(length: int, form: str, chunks: Iterator[bytes]) -> Iterator[_End]:
    """The first record's end, and all ends in the last MiB: quotes are counted everywhere, lines only there."""
    offset, quotes, first = 0, 0, bytearray()
    looking_for_first = True
    for chunk in chunks:
        at = 0
        while at < len(chunk):
            exact = looking_for_first or offset + at >= length - _TAIL
            if not exact:
                step = min(len(chunk), length - _TAIL - offset)
                quotes += chunk.count(b'"', at, step)
                at = step
                continue
            found = chunk.find(b"\n", at)
            end = len(chunk) if found < 0 else found + 1
            quotes += chunk.count(b'"', at, end)
            if looking_for_first:
                first += chunk[at:end]
                if len(first) > MAX_HEADER:
                    return
            at = end
            if found >= 0 and (form != "csv" or quotes % 2 == 0):
                yield _End(offset + at, bytes(first) if looking_for_first else b"")
                looking_for_first = False
        offset += len(chunk)

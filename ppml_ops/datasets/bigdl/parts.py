"""Part files of a folder of BigDL PPML: their names, as Spark gives them, and their headers."""

import re
from typing import NamedTuple

from ppml_ops.crypto.bigdl.layout import Header
from ppml_ops.errors import IntegrityError, PpmlError

SUFFIX = ".cbc"
_NAME = re.compile(r"part-(?P<number>\d{5,10})(-(?P<write>[0-9a-f-]{36})(-c\d{3,10})?)?\..*")


class OriginalPart(NamedTuple):
    """One `.cbc` file.

    `header` is None where there is none: an empty file, or one of `nativeaescbc`. `tag`: the last 32 bytes.
    """

    name: str
    length: int
    header: Header | None
    tag: bytes = b""

    @property
    def plain_name(self) -> str:
        """Without `.cbc`, for example `part-00000-<id>-c000.csv`."""
        return self.name.removesuffix(SUFFIX)

    @property
    def form(self) -> str:
        """`csv`, `json` or `txt`; "" for a name without such a suffix."""
        return self.plain_name.rpartition(".")[2] if "." in self.plain_name else ""

    @property
    def number(self) -> int | None:
        """The Spark partition that wrote it, None for names that Spark does not give."""
        match = _NAME.fullmatch(self.name)
        return int(match["number"]) if match else None

    @property
    def write(self) -> str | None:
        """Id of the DataFrame write that made it; RDD writes have none."""
        match = _NAME.fullmatch(self.name)
        return match["write"] if match else None


def shown(name: str) -> str:
    """`name` for a message: bytes that are no text and control characters are replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)


def named(name: str, error: PpmlError) -> PpmlError:
    """`error` of the same class, saying which file it is about."""
    return type(error)(f"{name}: {error.what}", next_step=error.next_step, who=error.who)


def damaged(what: str) -> IntegrityError:
    """The error for a folder that the original has not left like this."""
    return IntegrityError(what, next_step="restore the data set from a good copy")

"""What Spark and Hadoop leave around the parts of a folder, whatever format these have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ppml_ops.crypto.bigdl.meta import MAX_BYTES, encode_meta, parse_meta
from ppml_ops.datasets.bigdl.parts import damaged, shown
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import DataError
from ppml_ops.keys.original import OriginalDataKey

META: Final = ".meta"
SUCCESS: Final = "_SUCCESS"
MAX_PARTS: Final = 100_000
_SHOWN = 10


class Surroundings(NamedTuple):
    """Names of the parts, and what else was found; see `survey.Survey`."""

    names: tuple[str, ...]
    meta: str | None
    checksums: frozenset[str]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]


def finish_folder(folder: Path, key: OriginalDataKey) -> None:
    """Put beside the parts what the original's readers look for: `_SUCCESS` and the wrapped data key."""
    (folder / SUCCESS).touch()
    (folder / META).write_bytes(encode_meta(key.wrapped))


def surroundings(folder: Folder, suffix: str) -> Surroundings:
    """Look at the names in `folder`, and into `.meta`; parts are the visible files that end in `suffix`.

    Raises:
        DataError: there is no part, or too many.
        IntegrityError: a part is no file, or `.meta` is damaged.
    """
    present = set(folder.names())
    visible = sorted(name for name in present if name[0] not in "._")
    names = [name for name in visible if name.endswith(suffix)]
    if not names or len(names) > MAX_PARTS:
        raise DataError(
            f"{folder} holds {len(names)} parts of BigDL PPML where 1 to {MAX_PARTS} are expected",
            next_step=f"name the folder that has the {suffix} files and .meta",
        )
    for name in names:
        if not name.isprintable():  # it would go into messages, records and terminals
            raise damaged(f"{shown(name)} is not a name that Spark gives")
        if not folder.is_file(name):  # a pipe would make the reader wait for ever
            raise damaged(f"{name} is not a file")
    sides = {name[1:-4] for name in present if name.startswith(".") and name.endswith(f"{suffix}.crc")}
    meta = _read_meta(folder) if META in present else None
    strangers = [name for name in visible if not name.endswith(suffix)]
    lost = sorted(sides - present)
    doubts, notes = [], []
    if strangers:
        doubts.append(f"files that are no parts: {listed(strangers)}")
    if "_temporary" in present:
        doubts.append("there is _temporary: the write did not finish, or parts were not all collected")
    if lost:
        doubts.append(f"parts whose checksum files are there and they are not: {listed(lost)}")
    if meta is None:
        doubts.append("there is no .meta, so the write that made it did not finish, or .meta was lost")
    if SUCCESS not in present:
        notes.append(f"no {SUCCESS}: the folder is a copy, or the write that made it did not finish")
    checksums = frozenset(name for name in sides & set(names) if folder.is_file(f".{name}.crc"))
    return Surroundings(tuple(names), meta, checksums, tuple(doubts), tuple(notes))


def refuse_doubts(folder: Folder, doubts: Sequence[str]) -> None:
    """Raise DataError for what only a person can decide about: strangers, lost parts, a missing `.meta`."""
    if doubts:
        raise DataError(
            f"{folder}: {'; '.join(doubts)}",
            next_step="remove what does not belong there, or fetch what is missing from where it was written",
        )


def listed(names: Sequence[str]) -> str:
    """At most ten names, fit for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(shown(name) for name in names[:_SHOWN]) + more


def _read_meta(folder: Folder) -> str:
    if not folder.is_file(META):
        raise damaged(f"{META} in {folder} is not a file")
    return parse_meta(folder.read(META, MAX_BYTES + 1))

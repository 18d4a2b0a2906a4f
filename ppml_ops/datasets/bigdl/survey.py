"""What lies in a folder of BigDL PPML, found without a key, and what speaks against it.

The format has no list of parts: nobody can tell a part that was lost from one that never was. What can be told,
from names, headers, `.meta` and Hadoop's side files, is told here: contradictions are errors, `doubts` are for
`verify` and unattended runs to refuse, `notes` are facts worth a line.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ppml_ops.crypto.bigdl.layout import HEADER, MIN_LENGTH, TAG, parse_header
from ppml_ops.datasets.bigdl.parts import SUFFIX, OriginalPart, damaged, named
from ppml_ops.datasets.bigdl.surroundings import MAX_PARTS, listed, surroundings
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import IntegrityError


class Survey(NamedTuple):
    """A folder that can be tried with a key.

    Args:
        meta: wrapped data key in `.meta`, "" for `nativeaescbc`, None when there is no `.meta`.
        native: the parts are of `nativeaescbc`: nothing in them is authenticated.
        checksums: names of parts that have a side file of Hadoop's.
    """

    folder: Folder
    parts: tuple[OriginalPart, ...]
    meta: str | None
    native: bool
    checksums: frozenset[str]
    doubts: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def authenticated(self) -> bool:
        """Whether changes of the content can be noticed at all."""
        return not self.native

    @property
    def form(self) -> str:
        """`csv`, `json`, `txt`, or "" when parts differ or have no suffix."""
        forms = {part.form for part in self.parts}
        return forms.pop() if len(forms) == 1 else ""


def survey(folder: Folder) -> Survey:
    """Look at all files of `folder`.

    Raises:
        DataError: there is no part, or too many.
        IntegrityError: header, length or name of a part contradict the format, `.meta` or another part.
    """
    around = surroundings(folder, SUFFIX)
    parts = tuple(_look(folder, name, native=around.meta == "") for name in around.names)
    contradictions(parts, around.meta)
    return Survey(
        folder=folder,
        parts=parts,
        meta=around.meta,
        native=around.meta == "",
        checksums=around.checksums,
        doubts=around.doubts,
        notes=(*around.notes, *_notes(parts, around.meta)),
    )


def _look(folder: Folder, name: str, *, native: bool) -> OriginalPart:
    length = folder.size(name)
    if not length:
        return OriginalPart(name, 0, None)
    with folder.open_read(name) as file:
        head = file.read(HEADER)
        file.seek(max(length - TAG, 0))
        tag = file.read(TAG)
    try:
        header = parse_header(head)
        if length < MIN_LENGTH:
            raise damaged(f"no file of BigDL PPML has {length} bytes: it was cut")
    except IntegrityError as error:
        if native:
            return OriginalPart(name, length, None)
        raise named(name, error) from None
    return OriginalPart(name, length, header, tag)


def contradictions(parts: Sequence[OriginalPart], meta: str | None) -> None:
    """Raise IntegrityError for what the original never leaves: pure, from headers and names alone."""
    keys: dict[str, str] = {}
    tags: dict[tuple[str, bytes], str] = {}
    for part in parts:
        if part.header is None:
            # Spark makes no file for an empty partition, but for the first one.
            if not part.length and part.write is not None and part.number:
                raise damaged(f"{part.name} is empty, and Spark writes no such part: it was cut")
            continue
        if meta == "":
            raise damaged(f"{part.name} carries a wrapped key, but .meta says that there is none")
        if not part.header.wrapped:
            raise IntegrityError(
                f"{part.name} does not carry its data key",
                next_step="write it again with PPMLContext or Encrypt: its key lies in a separate file",
            )
        if part.write and keys.setdefault(part.write, part.header.wrapped) != part.header.wrapped:
            raise damaged(
                f"{part.name} was exchanged or changed: parts of one write have one key, and this has another"
            )
        first = tags.setdefault((part.header.wrapped, part.tag), part.name)
        if first != part.name:
            raise damaged(f"{part.name} is a copy of {first}: its rows would count twice")
    wrapped = {part.header.wrapped for part in parts if part.header}
    if meta and wrapped and meta not in wrapped:
        raise damaged(".meta belongs to other data: no part carries its wrapped key")


def _notes(parts: Sequence[OriginalPart], meta: str | None) -> list[str]:
    notes = []
    numbers = {part.number for part in parts if part.number is not None}
    gaps = sorted(set(range(max(numbers))) - numbers) if numbers and max(numbers) < MAX_PARTS else []
    if gaps:
        notes.append(
            f"no part {listed([str(number) for number in gaps])}: Spark writes none for an empty partition, "
            "but a lost part would look the same"
        )
    wrapped = Counter(part.header.wrapped for part in parts if part.header)
    if len(wrapped) > 1:
        notes.append(f"{len(wrapped)} data keys, from appending: the original opens only the parts of the last")
    empty = [part.name for part in parts if not part.length]
    if empty:
        notes.append(f"empty parts, taken as without rows: {listed(empty)}")
    odd = [part.name for part in parts if part.header and not part.header.regular_filler]
    if odd:
        notes.append(f"headers with another filler than the original writes: {listed(odd)}")
    if meta == "":
        notes.append("nativeaescbc: nothing in these files is authenticated, changes go unnoticed")
    return notes

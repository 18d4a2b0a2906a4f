"""Open and verify the parts of a folder of BigDL PPML; nothing appears before every tag was checked."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from ppml_ops.crypto.bigdl.container import CbcReader
from ppml_ops.crypto.bigdl.native import NativeReader
from ppml_ops.datasets.bigdl.checksums import CheckedSource
from ppml_ops.datasets.bigdl.parts import OriginalPart, damaged, named
from ppml_ops.datasets.bigdl.surroundings import refuse_doubts
from ppml_ops.datasets.bigdl.survey import Survey
from ppml_ops.datasets.new_folder import new_folder, refuse_existing
from ppml_ops.datasets.threads import Progress, for_each_file, one_at_a_time
from ppml_ops.errors import PpmlError
from ppml_ops.keys.original import OriginalKeys


def plaintext(found: Survey, part: OriginalPart, keys: OriginalKeys) -> Iterator[memoryview]:
    """The plaintext of one part in pieces, each valid until the next; authentic only once it has ended.

    Raises:
        IntegrityError: after the last piece: wrong key, or the part was changed, or is not the one any more
            that `survey` saw.
    """
    try:
        with ExitStack() as stack:
            source = _source(found, part, stack)
            if not part.length:
                return
            if found.native:
                yield from NativeReader(source, part.length).pieces(keys.native())
                return
            reader = CbcReader(source, part.length)
            if reader.header != part.header:
                raise damaged("it was replaced while the data set was read")
            yield from reader.pieces(keys.open(reader.header.wrapped))
    except FileNotFoundError:
        raise damaged(f"{part.name} vanished while the data set was read") from None
    except PpmlError as error:
        raise named(part.name, error) from None


def _source(found: Survey, part: OriginalPart, stack: ExitStack) -> BinaryIO:
    source = stack.enter_context(found.folder.open_read(part.name))
    if part.name not in found.checksums:
        return source
    side = f".{part.name}.crc"
    checksums = stack.enter_context(found.folder.open_read(side))
    return cast(BinaryIO, CheckedSource(source, checksums, found.folder.size(side), part.length))


def check_keys(found: Survey, keys: OriginalKeys) -> None:
    """What a key tells before any part is read.

    Raises:
        IntegrityError: a wrapped key does not open, or a header was changed where the tag looks away: then two
            wrapped keys of the folder are the same key.
        ConfigError: the key is of another kind than the parts need.
    """
    if found.native:
        keys.native()
        return
    opened: dict[str, str] = {}
    for part in found.parts:
        if part.header is not None and part.header.wrapped not in opened:
            try:
                opened[part.header.wrapped] = keys.open(part.header.wrapped)
            except PpmlError as error:
                raise named(part.name, error) from None
    if len(set(opened.values())) < len(opened):
        raise damaged("a header was changed: two wrapped keys in the folder are the same key")


def verify_folder(found: Survey, keys: OriginalKeys, progress: Progress = lambda _done: None) -> None:
    """Check every part without writing anything. Raises as `plaintext`, `check_keys` and `refuse_doubts`."""
    refuse_doubts(found.folder, found.doubts)
    check_keys(found, keys)
    for part in found.parts:
        for piece in plaintext(found, part, keys):
            progress(len(piece))


def open_folder(
    found: Survey, keys: OriginalKeys, target: Path, progress: Progress = lambda _done: None
) -> list[Path]:
    """Open all parts into the new folder `target` (0700, files 0600), under their names without `.cbc`.

    They are written into a hidden folder that takes its name when every tag was checked: a file is read once,
    so what was checked is what was decrypted. A killed process leaves the hidden folder to the next one.

    Raises:
        ConfigError: `target` exists or can't be written.
        IntegrityError: as `plaintext` and `check_keys`; nothing stays behind.
    """
    refuse_existing(target)
    check_keys(found, keys)
    shared = one_at_a_time(progress)
    with new_folder(target, "opening") as hidden:

        def work(part: OriginalPart) -> Path:
            path = hidden / part.plain_name
            with path.open("xb", buffering=0) as sink:
                path.chmod(0o600)
                for piece in plaintext(found, part, keys):
                    _write_all(sink, piece)
                    shared(len(piece))
            return target / part.plain_name

        return for_each_file(work, found.parts)


def _write_all(sink: io.FileIO, piece: memoryview) -> None:
    while piece:
        piece = piece[sink.write(piece) :]

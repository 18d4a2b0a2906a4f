"""Write plaintext files as a folder that BigDL PPML reads: parts, `_SUCCESS`, `.meta`, all or nothing."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ppml_ops.crypto.bigdl.container import CHUNK, CbcWriter
from ppml_ops.datasets.bigdl.cuts import Piece, pieces
from ppml_ops.datasets.bigdl.surroundings import finish_folder
from ppml_ops.datasets.new_folder import new_folder, refuse_existing
from ppml_ops.datasets.seal import Source
from ppml_ops.datasets.threads import Progress, for_each_file, one_at_a_time
from ppml_ops.errors import DataError
from ppml_ops.keys.original import OriginalDataKey, OriginalKeys

_FORMS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".txt": "txt", ".log": "txt"}


def write_folder(
    sources: Sequence[Source], keys: OriginalKeys, target: Path, progress: Progress = lambda _done: None
) -> list[str]:
    """Write CSV, JSON lines or text, under one fresh data key; returns the names of the parts.

    Each source becomes a part, or two where the original could not read one of that length. The folder appears
    when everything is in it.

    Raises:
        ConfigError: `target` exists or can't be written.
        DataError: sources of several formats, or a source changed while it was read.
    """
    refuse_existing(target)
    form = _form(sources)
    write, key = uuid.uuid4(), keys.new()
    planned = [
        (source, piece)
        for source in sources
        for piece in pieces(source.length, form, lambda one=source: one.folder.chunks(one.name))  # type: ignore[misc]
    ]
    names = [f"part-{number:05d}-{write}-c000.{form}.cbc" for number in range(len(planned))]
    shared = one_at_a_time(progress)
    with new_folder(target, "writing") as hidden:

        def work(one: tuple[Source, Piece], name: str) -> None:
            _write_part(*one, hidden / name, key, shared)

        for_each_file(work, planned, names)
        finish_folder(hidden, key)
    return names


def _form(sources: Sequence[Source]) -> str:
    forms = {_FORMS.get(source.suffix.lower(), "") for source in sources}
    if len(forms) != 1 or forms == {""}:
        raise DataError(
            "a data set of BigDL PPML has files of one format: .csv, .json (lines) or .txt",
            next_step="give files of one of these formats; Parquet: --format pme",
        )
    return forms.pop()


def _write_part(
    source: Source, piece: Piece, path: Path, key: OriginalDataKey, progress: Callable[[int], None]
) -> None:
    with path.open("xb") as sink, CbcWriter(sink, key.text, key.wrapped) as writer:
        writer.write(piece.prefix)
        for chunk in _range(source, piece):
            writer.write(chunk)
            progress(len(chunk))


def _range(source: Source, piece: Piece) -> Iterator[bytes]:
    """The bytes of the piece; DataError unless the source still has its length."""
    left = piece.end - piece.start
    with source.folder.open_read(source.name) as file:
        file.seek(piece.start)
        while chunk := file.read(min(CHUNK, left)):
            left -= len(chunk)
            yield chunk
        grew = piece.end == source.length and file.read(1)
    if left or grew:
        raise DataError(
            f"{source.name} changed while it was encrypted", next_step="run again when nobody writes the file"
        )

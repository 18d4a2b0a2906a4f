"""BigDL PPML's own data sets at both ends of a run (owner): as its input, and as a copy of its result.

The input's plaintext goes from one encryption into the other and lies nowhere, so a killed run leaves none.
Nobody looks at a run at night: what `data open` only warns of stops it here.
"""

import csv
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ppml_ops.canonical import sha256_hex
from ppml_ops.datasets.bigdl.surroundings import META
from ppml_ops.datasets.bigdl.writing import write_folder
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.new_folder import whole_folder
from ppml_ops.datasets.original import Original, is_original, look, streams, verify_original
from ppml_ops.datasets.pme.writing import write_pme
from ppml_ops.datasets.seal import Source, Stream
from ppml_ops.errors import ConfigError, DataError
from ppml_ops.keys.model import KeyRef
from ppml_ops.keys.original import OriginalKeys, original_keys_for
from ppml_ops.lifecycle.run import Run

#: Folder of the exported result, beside `result`.
EXPORT = "result-bigdl"
#: Its name while it is written.
EXPORT_HIDDEN = f".{EXPORT}.writing"
_LOG = logging.getLogger("ppml_ops.lifecycle")
_HEADER_LIMIT = 1 << 20


def keys_of_run(run: Run, key: str) -> OriginalKeys:
    """The primary key file that a run's parameter names.

    Raises:
        ConfigError: no such key, or a relative path: a worker has another working folder than its user.
    """
    ref = KeyRef.parse(key)
    if ref.scheme == "simple" and not ref.location.startswith("/"):
        raise ConfigError(
            f"{ref} is not an absolute path",
            next_step="write simple:/folder/name, as the owner's worker sees it",
        )
    return original_keys_for(key, home=run.home)


def original_input(run: Run, url: str, key: str, columns: Sequence[str]) -> tuple[dict[str, Any], list[Stream]]:
    """What a run's input is made of (JSON data that names its bytes), and its plaintext.

    With `columns` the input becomes CSV (RFC 4180) and each part must have these in its header; without, it
    stays as it is. Every part was authenticated when this returns, and is again while it is read.

    Raises:
        DataError: no data set of the original, one with doubts, or without these columns.
        IntegrityError: it was changed, or the key is another one's.
    """
    keys = keys_of_run(run, key)
    found = look(Folder(url))
    for note in found.notes:
        _LOG.warning("%s: %s", url, note)
    verify_original(found, keys)
    made = streams(found, keys, "csv" if columns else "")
    for one in made if columns else ():
        _check_columns(one, columns)
    return {"original": _bytes_of(found), "columns": list(columns)}, made


def refuse_original(sources: Sequence[Source]) -> None:
    """Raise DataError where a data set of the original was given as plaintext, without its key."""
    if any(is_original(one.folder, one.name) for one in sources):
        raise DataError(
            f"{sources[0].folder} is a data set of BigDL PPML, and the run has no key for it",
            next_step="name its primary key file as well, input_key=simple:/folder/name",
        )


def _bytes_of(found: Original) -> list[dict[str, Any]]:
    files = [found.folder.checksum(part.name)._asdict() for part in found.parts]
    if found.meta is not None:
        files.append({"path": META, "sha256": sha256_hex(found.meta.encode())})
    return files


def _check_columns(stream: Stream, columns: Sequence[str]) -> None:
    """Raise DataError unless the part begins with a header that has all `columns`."""
    first = bytearray()
    for piece in stream.pieces():
        first += piece
        if b"\n" in first or len(first) > _HEADER_LIMIT:
            break
    try:
        header = next(csv.reader([bytes(first).split(b"\n", 1)[0].decode("utf-8-sig").rstrip("\r")]), [])
    except (UnicodeDecodeError, csv.Error):
        header = []
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(
            f"{stream.name} has no column {', '.join(missing)} in its first line",
            next_step="write the data set with a header in each part; `Encrypt` of BigDL PPML 2.3 makes none",
        )


def export_result(run: Run, key: str, progress: Callable[[int], None] = lambda _done: None) -> dict[str, Any]:
    """Write the opened result for BigDL PPML too, into `data/<run key>/result-bigdl`; replaces an older one.

    Every folder of the result that has files becomes a data set of its own under the same path. Returns facts.

    Raises:
        ConfigError: no such key, or Parquet without pyarrow.
        DataError: a folder holds files of several formats, or of one that BigDL PPML doesn't have.
    """
    keys = keys_of_run(run, key)
    target = run.plaintext / EXPORT
    shutil.rmtree(target, ignore_errors=True)
    parts = 0
    with whole_folder(target, "writing") as hidden:
        for folder, sources in _tables(run.plaintext / "result"):
            place = hidden / folder
            place.parent.mkdir(parents=True, exist_ok=True)
            write = write_pme if sources[0].suffix == ".parquet" else write_folder
            parts += len(write(sources, keys, place, progress))
        if not parts:
            _LOG.warning("The result has no files, so there is nothing to write for BigDL PPML")
    return {"parts": parts, "key": key, "format": "bigdl"}


def _tables(result: Path) -> Iterator[tuple[Path, list[Source]]]:
    """Folders with data files below `result`, relative to it; empty files count where there are no others."""
    for folder in sorted({path.parent for path in result.rglob("*") if path.is_file()}):
        sources = [
            Source(Folder(folder), path.name, path.stat().st_size)
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name[0] not in "._"
        ]
        if sources:
            with_rows = [one for one in sources if one.length]
            yield (folder.relative_to(result) if folder != result else Path("data")), with_rows or sources[:1]

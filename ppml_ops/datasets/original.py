"""A data set of BigDL PPML, whichever of its formats it has: look, open, verify, or hand out as streams."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ppml_ops.datasets.bigdl.dialect import rfc4180
from ppml_ops.datasets.bigdl.parts import SUFFIX as CBC
from ppml_ops.datasets.bigdl.parts import OriginalPart
from ppml_ops.datasets.bigdl.reading import open_folder, plaintext, verify_folder
from ppml_ops.datasets.bigdl.surroundings import META
from ppml_ops.datasets.bigdl.survey import Survey, survey
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.pme.convert import as_csv, as_parquet, csv_batches, stream_of
from ppml_ops.datasets.pme.keys import require_pyarrow
from ppml_ops.datasets.pme.reading import open_pme, table, verify_pme
from ppml_ops.datasets.pme.survey import SUFFIX as PARQUET
from ppml_ops.datasets.pme.survey import PmePart, PmeSurvey, is_encrypted_parquet, survey_pme
from ppml_ops.datasets.seal import Stream
from ppml_ops.datasets.store import MANIFESTS
from ppml_ops.datasets.threads import Progress
from ppml_ops.errors import DataError
from ppml_ops.keys.original import OriginalKeys

Format = Literal["sealed", "bigdl", "pme"]
Original = Survey | PmeSurvey
Pieces = Iterator[bytes | memoryview]


def format_of(folder: Folder) -> Format:
    """What kind of data set a folder looks like; `sealed` where nothing speaks for another.

    Raises:
        DataError: it holds both formats of the original.
    """
    names = folder.names()
    if MANIFESTS in names:
        return "sealed"
    visible = [name for name in names if name[0] not in "._"]
    cbc = [name for name in visible if name.endswith(CBC)]
    parquet = [name for name in visible if name.endswith(PARQUET)]
    encrypted = [name for name in parquet if META in names or is_encrypted_parquet(folder, name)]
    if cbc and encrypted:
        raise DataError(
            f"{folder} holds {CBC} files and encrypted Parquet",
            next_step="a data set has one format: separate them, each with its own .meta",
        )
    if encrypted:
        return "pme"
    return "bigdl" if cbc or META in names else "sealed"


def is_original(folder: Folder, name: str) -> bool:
    """Whether one file is a part of the original, by its name or, for Parquet, its first bytes."""
    return name.endswith(CBC) or (name.endswith(PARQUET) and is_encrypted_parquet(folder, name))


def look(folder: Folder) -> Original:
    """What lies in a folder of the original; raises as `survey` and `survey_pme`, and DataError for a file."""
    if folder.is_local and folder.local().is_file():
        raise DataError(
            f"{folder} is a file: parts are opened with the {META} beside them",
            next_step=f"name its folder, {folder.local().parent}",
        )
    return survey_pme(folder) if format_of(folder) == "pme" else survey(folder)


def open_original(found: Original, keys: OriginalKeys, target: Path, progress: Progress) -> list[Path]:
    """Open all parts into a new folder; raises as `open_folder` and `open_pme`."""
    if isinstance(found, PmeSurvey):
        return open_pme(found, keys, target, progress)
    return open_folder(found, keys, target, progress)


def verify_original(found: Original, keys: OriginalKeys, progress: Progress = lambda _done: None) -> None:
    """Check all parts and refuse doubts; raises as `verify_folder` and `verify_pme`."""
    if isinstance(found, PmeSurvey):
        verify_pme(found, keys, progress)
    else:
        verify_folder(found, keys, progress)


def streams(found: Original, keys: OriginalKeys, form: str = "") -> list[Stream]:
    """The plaintext of each part that has any, as a stream that raises at its end when it was not authentic.

    Args:
        form: `csv` (RFC 4180) or `parquet` to convert; "" leaves it as it is.

    Raises:
        DataError: the parts are of several formats, or there is no way from theirs to `form`.
        ConfigError: Parquet is wanted and pyarrow is not installed.
    """
    if form and (found.form not in ("csv", "parquet") or form not in ("csv", "parquet")):
        raise DataError(
            f"there is no way from {found.form or 'parts of several formats'} to {form}",
            next_step="leave out the format to keep it as it is, or convert with Spark",
        )
    if not found.form:
        raise DataError(
            f"{found.folder} holds parts of several formats or of none",
            next_step="give csv, json, text or Parquet parts of one kind",
        )
    if "parquet" in (form, found.form):
        require_pyarrow()
    made = [
        Stream(part.plain_name, f".{form or found.form}", lambda one=part: _pieces(found, one, keys, form))  # type: ignore[misc]
        for part in found.parts
        if part.length
    ]
    if not made:
        raise DataError(f"{found.folder} has no rows", next_step="deliver a data set with rows")
    return made


def _pieces(found: Original, part: OriginalPart | PmePart, keys: OriginalKeys, form: str) -> Pieces:
    if isinstance(found, PmeSurvey):
        assert isinstance(part, PmePart)
        with table(found, part, keys) as rows:
            if form == "csv":
                yield from as_csv(rows.schema, rows.batches())
            else:
                yield from as_parquet(rows.schema, rows.batches(), rows.compression)
        return
    assert isinstance(part, OriginalPart)
    plain = plaintext(found, part, keys)
    if form != "parquet":
        yield from rfc4180(plain) if form == "csv" else plain
        return
    source = stream_of(rfc4180(plain))
    try:
        schema, batches = csv_batches(source, part.name)
        yield from as_parquet(schema, batches)
    finally:
        # The tag is checked at the very end: whatever is wrong with the rows, a wrong tag is said first.
        while source.read(1 << 20):
            pass

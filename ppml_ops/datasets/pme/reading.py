"""Read encrypted Parquet in batches of rows; open it into plain Parquet, verify it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppml_ops.datasets.bigdl.checksums import CheckedSource
from ppml_ops.datasets.bigdl.parts import damaged, named
from ppml_ops.datasets.bigdl.surroundings import refuse_doubts
from ppml_ops.datasets.new_folder import new_folder, refuse_existing
from ppml_ops.datasets.pme.keys import crypto_factory
from ppml_ops.datasets.pme.survey import PmePart, PmeSurvey
from ppml_ops.datasets.threads import Progress
from ppml_ops.errors import IntegrityError, PpmlError
from ppml_ops.keys.original import OriginalKeys

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 1 << 16
#: Thrift of a footer that is not ours to trust before it has authenticated.
_MAX_THRIFT = 64 << 20
_CHUNK = 1 << 20


class Table:
    """One open part: its schema and its rows.

    `compression` is that of its first column, in pyarrow's spelling.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self.schema: pa.Schema = file.schema_arrow
        groups = file.metadata.num_row_groups
        self.compression = (
            file.metadata.row_group(0).column(0).compression if groups and len(self.schema) else "SNAPPY"
        ).lower()

    def batches(self) -> Iterator["pa.RecordBatch"]:
        """All rows, 65,536 at a time; each value was authenticated under AES_GCM_V1 before it is seen."""
        batches = self._file.iter_batches(BATCH_ROWS, use_threads=False)
        while True:
            with _explained():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


@contextmanager
def table(found: PmeSurvey, part: PmePart, keys: OriginalKeys) -> Iterator[Table]:
    """One part, open for reading in constant memory.

    Raises:
        IntegrityError: wrong key, or changed; also from `Table.batches`.
        ConfigError: pyarrow is not installed.
    """
    factory = crypto_factory(keys.open(found.meta))
    import pyarrow.parquet as pq
    from pyarrow.parquet.encryption import KmsConnectionConfig

    try:
        _compare_checksums(found, part)
        with found.folder.open_read(part.name) as source:
            with _explained():
                file = pq.ParquetFile(
                    source,
                    decryption_properties=factory.file_decryption_properties(KmsConnectionConfig()),
                    pre_buffer=False,
                    buffer_size=_CHUNK,
                    thrift_string_size_limit=_MAX_THRIFT,
                    thrift_container_size_limit=_MAX_THRIFT,
                )
                opened = Table(file)
            yield opened
    except FileNotFoundError:
        raise damaged(f"{part.name} vanished while the data set was read") from None
    except PpmlError as error:
        raise named(part.name, error) from None


@contextmanager
def _explained() -> Iterator[None]:
    """What pyarrow says about damaged files has many classes and may quote data: one class, no quote."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, RuntimeError, TypeError, LookupError, ArithmeticError):
        raise IntegrityError(
            "it does not open: wrong key, or it was changed",
            next_step="check the key reference and .meta; if they are right, restore the file from a good copy",
        ) from None


def _compare_checksums(found: PmeSurvey, part: PmePart) -> None:
    if part.name not in found.checksums:
        return
    side = f".{part.name}.crc"
    with found.folder.open_read(part.name) as source, found.folder.open_read(side) as checksums:
        checked = CheckedSource(source, checksums, found.folder.size(side), part.length)
        while checked.read(_CHUNK):
            pass


def verify_pme(found: PmeSurvey, keys: OriginalKeys, progress: Progress = lambda _done: None) -> None:
    """Read every value of every part. Raises as `table` and `refuse_doubts`."""
    refuse_doubts(found.folder, found.doubts)
    for part in found.parts:
        with table(found, part, keys) as rows:
            for _batch in rows.batches():
                pass
        progress(part.length)


def open_pme(
    found: PmeSurvey, keys: OriginalKeys, target: Path, progress: Progress = lambda _done: None
) -> list[Path]:
    """Write all parts as plain Parquet into the new folder `target` (0700, files 0600), under the same names.

    The folder appears when every part was read to its end.

    Raises:
        ConfigError: `target` exists or can't be written, or pyarrow is not installed.
        IntegrityError: as `table`; nothing stays behind.
    """
    refuse_existing(target)
    with new_folder(target, "opening") as hidden:
        for part in found.parts:
            with table(found, part, keys) as rows:
                _write_plain(rows, hidden / part.plain_name)
            progress(part.length)
    return [target / part.plain_name for part in found.parts]


def _write_plain(rows: Table, path: Path) -> None:
    import pyarrow.parquet as pq

    path.touch(mode=0o600)
    with pq.ParquetWriter(path, rows.schema, compression=rows.compression) as writer:
        for batch in rows.batches():
            writer.write_batch(batch)

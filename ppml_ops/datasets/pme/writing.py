"""Write CSV or Parquet as a folder of Parquet that BigDL PPML reads: `AES_GCM_V1`, every column encrypted."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppml_ops.datasets.bigdl.surroundings import finish_folder
from ppml_ops.datasets.new_folder import new_folder, refuse_existing
from ppml_ops.datasets.pme.convert import csv_batches
from ppml_ops.datasets.pme.keys import COLUMN_KEY, FOOTER_KEY, crypto_factory
from ppml_ops.datasets.seal import Source
from ppml_ops.datasets.threads import Progress
from ppml_ops.errors import DataError
from ppml_ops.keys.original import OriginalKeys

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1 << 16


def write_pme(
    sources: Sequence[Source], keys: OriginalKeys, target: Path, progress: Progress = lambda _done: None
) -> list[str]:
    """Write each source as one encrypted file, under one fresh data key; returns the names of the parts.

    Columns of a CSV source become text, as Spark reads CSV without a schema. The folder appears when everything
    is in it.

    Raises:
        ConfigError: `target` exists or can't be written, or pyarrow is not installed.
        DataError: a source is neither CSV nor Parquet, or not readable as such.
    """
    refuse_existing(target)
    key, write = keys.new(), uuid.uuid4()
    factory = crypto_factory(key.text)
    names = [f"part-{number:05d}-{write}-c000.snappy.parquet" for number in range(len(sources))]
    with new_folder(target, "writing") as hidden:
        for source, name in zip(sources, names, strict=True):
            _write_part(source, factory, hidden / name)
            progress(source.length)
        finish_folder(hidden, key)
    return names


def _write_part(source: Source, factory: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow.parquet.encryption import EncryptionConfiguration, KmsConnectionConfig

    with source.folder.open_read(source.name) as file:
        try:
            schema, batches = _rows(source, file)
            encryption = factory.file_encryption_properties(
                KmsConnectionConfig(),
                EncryptionConfiguration(
                    footer_key=FOOTER_KEY,
                    column_keys={COLUMN_KEY: schema.names},
                    encryption_algorithm="AES_GCM_V1",
                ),
            )
            # What the original's Spark 3.1 with parquet-mr 1.13 reads: old pages, no schema of Arrow's.
            with pq.ParquetWriter(
                path,
                schema,
                compression="snappy",
                version="1.0",
                data_page_version="1.0",
                store_schema=False,
                encryption_properties=encryption,
            ) as writer:
                for batch in batches:
                    writer.write_batch(batch)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"{source.name} can't be read as Parquet, or has columns that can't be written",
                next_step="check it with another Parquet reader",
            ) from error


def _rows(source: Source, file: Any) -> tuple["pa.Schema", Iterator["pa.RecordBatch"]]:
    import pyarrow.parquet as pq

    match source.suffix.lower():
        case ".parquet":
            plain = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
            return plain.schema_arrow, plain.iter_batches(_BATCH_ROWS, use_threads=False)
        case ".csv":
            return csv_batches(file, source.name)
    raise DataError(
        f"{source.name} is neither CSV nor Parquet", next_step="give .csv or .parquet files, all visible ones"
    )

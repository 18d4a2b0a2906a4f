"""Rows between CSV, Parquet and Arrow batches, as streams in constant memory (pyarrow).

CSV: comma, quotes doubled. A null is nothing, empty text is `""`, as Spark 3.3 and later write them.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ppml_ops.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_HEADER = 1 << 20


def csv_batches(source: BinaryIO, name: str) -> tuple["pa.Schema", Iterator["pa.RecordBatch"]]:
    """Schema (all text) and rows of a CSV stream with a header; `name` is for messages.

    Raises:
        DataError: no header, or columns of one name; from the rows: one that does not fit.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    buffered = io.BufferedReader(_Raw(source), _MAX_HEADER)
    header = bytes(buffered.peek(_MAX_HEADER)[:_MAX_HEADER]).split(b"\n", 1)[0]
    try:
        names = next(csv.reader([header.decode("utf-8-sig").rstrip("\r")]), [])
    except (UnicodeDecodeError, csv.Error):
        names = []
    if not names or len(set(names)) != len(names) or "" in names:
        raise DataError(
            f"{name} does not begin with a header of different names",
            next_step="deliver comma-separated UTF-8 text with a header",
        )
    try:
        reader = arrow_csv.open_csv(
            buffered,
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={one: pa.string() for one in names},
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as error:
        raise _ragged(name) from error

    def rows() -> Iterator["pa.RecordBatch"]:
        try:
            yield from reader
        except pa.ArrowInvalid as error:
            raise _ragged(name) from error

    return reader.schema, rows()


def as_csv(schema: "pa.Schema", batches: Iterable["pa.RecordBatch"]) -> Iterator[bytes]:
    """CSV with a header, in pieces. Raises DataError for columns that CSV can't hold."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        sink = _Drain()
        with arrow_csv.CSVWriter(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                yield sink.drained()
        yield sink.drained()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _unfit("CSV", schema) from error


def as_parquet(
    schema: "pa.Schema", batches: Iterable["pa.RecordBatch"], compression: str = "snappy"
) -> Iterator[bytes]:
    """A Parquet file, in pieces as row groups (a million rows) are full."""
    import pyarrow.parquet as pq

    sink = _Drain()
    with pq.ParquetWriter(sink, schema, compression=compression) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.drained()
    yield sink.drained()


def stream_of(pieces: Iterable[Any]) -> BinaryIO:
    """`pieces` of bytes as one stream to read; errors of the iteration are those of the read."""
    return io.BufferedReader(_Pieces(iter(pieces)), 1 << 20)


def _ragged(name: str) -> DataError:
    return DataError(
        f"{name} can't be read as CSV with a fixed set of columns",
        next_step="check that every line has as many fields as the header, in UTF-8, with quotes doubled",
    )


def _unfit(form: str, schema: "pa.Schema") -> DataError:
    return DataError(
        f"columns of these types do not fit into {form}: {', '.join(sorted({str(f.type) for f in schema}))}",
        next_step="keep Parquet",
    )


class _Drain(io.RawIOBase):
    """Collects what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._held += view
        self._position += len(view)
        return len(view)

    def drained(self) -> bytes:
        """What was written since the last call."""
        held = bytes(self._held)
        self._held.clear()
        return held


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[Any]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        got = 0
        while got < len(view):  # as full as can be: who peeks at a header gets one look
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
                continue
            step = min(len(view) - got, len(self._rest))
            view[got : got + step] = self._rest[:step]
            self._rest = self._rest[step:]
            got += step
        return got


class _Raw(io.RawIOBase):
    """A stream of any kind for `io.BufferedReader`, which wants raw ones."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._read: Callable[[int], bytes] = source.read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

"""The same people as CSV and Parquet, plain and sealed on two nodes, and results read back from both."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.csv  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from ppml_ops.crypto.parallel import seal_file
from ppml_ops.datasets.manifest import Part
from ppml_ops.workloads.generate_people import COLUMNS, generate
from ppml_ops.workloads.rows import RowSummary, summarise, summarise_csv
from tests.integration.spark_jvm.world import World, unseal_bytes

FORMATS = ("csv", "parquet")
NODES = ("node-a", "node-b")
SEED = 1
_ROW_GROUP = 1_000_000


class QueryData:
    """Everything below the folder `root`; `world` holds keys, key ring and the stand-in for the agent."""

    def __init__(self, root: Path, rows: int) -> None:
        self.root = root
        self.world = World(root)
        csv = self._plain("csv")
        generate(csv, rows, SEED)
        _to_parquet(csv, self._plain("parquet"))
        for form in FORMATS:
            self._seal(form)
        self.world.write_ring()

    def _plain(self, form: str) -> Path:
        path = self.root / "plain" / form / f"people.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _seal(self, form: str) -> None:
        dataset = f"people-{form}"
        plain = self._plain(form)
        target = self.world.base(dataset, NODES[0]) / "people" / plain.name
        target.parent.mkdir()
        sealed = seal_file(plain, target, self.world.key(dataset), dataset.encode())
        part = Part(
            path=f"people/{plain.name}", length=sealed.length, header=sealed.header.hex(), node=NODES[0]
        )
        self.world.bind_read(dataset, self.world.publish(dataset, [part]).digest, NODES)
        self.world.bind_write(f"result-{form}", NODES)

    def megabytes(self, form: str) -> float:
        """Size of the plain input."""
        return self._plain(form).stat().st_size / 1e6

    def places(self, form: str, variant: str, *, sealed: bool) -> tuple[str, str]:
        """URIs of input and output."""
        if sealed:
            return f"sealed://people-{form}/people", f"sealed://result-{form}/developers"
        return self._plain(form).parent.as_uri(), self._output(form, variant).as_uri()

    def _output(self, form: str, variant: str) -> Path:
        return self.root / "out" / variant / form

    def result(self, form: str, variant: str, *, sealed: bool) -> RowSummary:
        """The rows that the last query of a variant wrote."""
        files = self._opened(form) if sealed else self._plain_parts(form, variant)
        if form == "csv":
            return summarise_csv((io.StringIO(data.decode(), newline="") for data in files), COLUMNS)
        return summarise(_parquet_rows(files))

    def _plain_parts(self, form: str, variant: str) -> Iterator[bytes]:
        yield from (path.read_bytes() for path in sorted(self._output(form, variant).glob("part-*")))

    def _opened(self, form: str) -> Iterator[bytes]:
        dataset = f"result-{form}"
        published = (self.world.base(dataset, NODES[0]) / "_manifest").glob("*.json")
        manifest = self.world.manifest(dataset, max(int(path.stem) for path in published))
        for part in manifest.parts:
            sealed = (self.world.base(dataset, part.node or NODES[0]) / part.path).read_bytes()
            yield unseal_bytes(sealed, self.world.key(dataset), dataset)


def _to_parquet(source: Path, target: Path) -> None:
    """Snappy, row groups of a million rows, so that one file can be read by several tasks."""
    options = pyarrow.csv.ParseOptions(double_quote=True, escape_char=False)
    with pyarrow.csv.open_csv(source, parse_options=options) as reader:
        table = pyarrow.Table.from_batches(reader, reader.schema)
    table = table.set_column(1, "age", table["age"].cast(pyarrow.int32()))
    pyarrow.parquet.write_table(table, target, row_group_size=_ROW_GROUP)


def _parquet_rows(files: Iterable[bytes]) -> Iterator[list[str]]:
    for data in files:
        for batch in pyarrow.parquet.ParquetFile(io.BytesIO(data)).iter_batches(columns=list(COLUMNS)):
            columns = [[str(value) for value in column.to_pylist()] for column in batch.columns]
            yield from (list(row) for row in zip(*columns, strict=True))

"""What the JVM needs around it: a fake agent, a key ring, node folders, data sets sealed by Python."""

import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]
import pyarrow.orc  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from ppml_ops.canonical import b64e, canonical_json
from ppml_ops.crypto.sealed import SealedReader, SealedWriter
from ppml_ops.datasets.manifest import Manifest, ManifestHead, Part, build_manifest, parse_manifest
from ppml_ops.keys.model import WrappedKey

TRUST_DOMAIN = "ab" * 32
HEADER = 40
FORMATS = ("csv", "json", "orc", "parquet", "text")
ROWS_PER_PART = 50
PARTS = 3


def head(dataset: str, previous: str | None = None, trust_domain: str = TRUST_DOMAIN) -> ManifestHead:
    """A manifest's fixed fields."""
    wrap = WrappedKey(key="broker:people?version=1", algorithm="HKDF-SHA256+A256KW", wrapped=b64e(bytes(40)))
    return ManifestHead.model_validate(
        {
            "dataset": dataset,
            "data_key_id": "0f" * 16,
            "schema": None,
            "partition": {"date": "2026-11-20"},
            "wraps": [wrap.model_dump()],
            "previous": previous,
            "producer": {"run": "simple-query-20261120-0123456789ab", "spec": "cd" * 32},
            "trust_domain": trust_domain,
        }
    )


def seal_bytes(plain: bytes, key: bytes, dataset: str) -> bytes:
    """`plain` as a sealed file."""
    sink = io.BytesIO()
    with SealedWriter(sink, key, dataset.encode()) as writer:
        writer.write(plain)
    return sink.getvalue()


def unseal_bytes(sealed: bytes, key: bytes, dataset: str) -> bytes:
    """The plaintext of a sealed file."""
    with SealedReader(io.BytesIO(sealed), key, dataset.encode()) as reader:
        return bytes(reader.read())


def table_bytes(kind: str, start: int, rows: int = ROWS_PER_PART) -> bytes:
    """Rows `id`, `name` from `start` on, in one of FORMATS."""
    table = pa.table(
        {"id": list(range(start, start + rows)), "name": [f"n{i}" for i in range(start, start + rows)]}
    )
    sink = io.BytesIO()
    if kind == "csv":
        pa.csv.write_csv(table, sink)
    elif kind == "parquet":
        pa.parquet.write_table(table, sink)
    elif kind == "orc":
        pa.orc.write_table(table, sink)
    elif kind == "json":
        sink.write("".join(f'{{"id": {i}, "name": "n{i}"}}\n' for i in range(start, start + rows)).encode())
    else:
        sink.write("".join(f"{i}\n" for i in range(start, start + rows)).encode())
    return sink.getvalue()


class World:
    """Folders below `root`: `nodes/<node>/<dataset>`, `ring.json`, `agent` (prints the ring), `calls`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys: dict[str, bytes] = {}
        self.entries: list[dict[str, Any]] = []
        self.agent = root / "agent"
        self.ring = root / "ring.json"
        self.log = root / "jvm.log"
        self.write_agent(
            'echo "$@" >> "$(dirname "$6")/calls"\nenv >> "$(dirname "$6")/environment"\nexec cat "$6"'
        )

    def write_agent(self, body: str) -> None:
        """Make `body` (shell) what the fake agent does; "$6" is the path of the ring."""
        self.agent.write_text(f"#!/bin/sh\n{body}\n")
        self.agent.chmod(self.agent.stat().st_mode | stat.S_IXUSR)

    def base(self, dataset: str, node: str = "node-a") -> Path:
        """The node folder of a data set."""
        folder = self.root / "nodes" / node / dataset
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def key(self, dataset: str) -> bytes:
        """The data key, made at the first call."""
        return self.keys.setdefault(dataset, os.urandom(32))

    def _bases(self, dataset: str, nodes: Sequence[str]) -> list[dict[str, str]]:
        return [{"node": node, "uri": self.base(dataset, node).as_uri()} for node in nodes]

    def bind_write(
        self,
        dataset: str,
        nodes: Sequence[str] = ("node-a",),
        version: int = 1,
        previous: str | None = None,
        *,
        spread: bool = False,
    ) -> None:
        """Bind `dataset` for writing."""
        entry: dict[str, Any] = {
            "dataset": dataset,
            "mode": "write",
            "key": b64e(self.key(dataset)),
            "version": version,
            "spread": spread,
        }
        entry["bases"] = self._bases(dataset, nodes)
        entry["manifest"] = head(dataset, previous).document()
        self.entries.append(entry)

    def bind_read(
        self, dataset: str, digest: str, nodes: Sequence[str] = ("node-a",), key: bytes | None = None
    ) -> None:
        """Bind version 1 of `dataset` for reading."""
        entry: dict[str, Any] = {"dataset": dataset, "mode": "read", "key": b64e(key or self.key(dataset))}
        entry["bases"] = self._bases(dataset, nodes)
        entry["manifest"] = {"version": 1, "digest": digest}
        self.entries.append(entry)

    def put(self, dataset: str, path: str, plain: bytes, node: str = "node-a") -> Part:
        """Seal `plain` to `path` in a node folder; the part that a manifest would name."""
        sealed = seal_bytes(plain, self.key(dataset), dataset)
        file = self.base(dataset, node) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(sealed)
        # Not validated: tests also put files where no part may lie.
        return Part.model_construct(path=path, length=len(sealed), header=sealed[:HEADER].hex(), node=node)

    def publish(self, dataset: str, parts: list[Part], *, version: int = 1, node: str = "node-a") -> Manifest:
        """Write a manifest over `parts`."""
        manifest = build_manifest(head(dataset), version, parts, self.key(dataset))
        self.publish_bytes(dataset, manifest.encode(), version=version, node=node)
        return manifest

    def publish_bytes(self, dataset: str, data: bytes, *, version: int = 1, node: str = "node-a") -> None:
        """Put `data` where the manifest of `version` belongs."""
        folder = self.base(dataset, node) / "_manifest"
        folder.mkdir(exist_ok=True)
        (folder / f"{version}.json").write_bytes(data)

    def table(self, dataset: str, kind: str) -> Manifest:
        """A sealed table of PARTS parts in `t/`, bound for reading."""
        parts = [
            self.put(dataset, f"t/part-{i}.{kind}", table_bytes(kind, i * ROWS_PER_PART)) for i in range(PARTS)
        ]
        manifest = self.publish(dataset, parts)
        self.bind_read(dataset, manifest.digest)
        return manifest

    def manifest(self, dataset: str, version: int, node: str = "node-a") -> Manifest:
        """A manifest that was published, authenticated."""
        manifest = parse_manifest((self.base(dataset, node) / "_manifest" / f"{version}.json").read_bytes())
        manifest.check(self.key(dataset))
        return manifest

    def files(self, dataset: str, *nodes: str) -> set[str]:
        """Visible files in the node folders, without those of committers."""
        found = set()
        for node in nodes or ("node-a",):
            base = self.base(dataset, node)
            for file in base.rglob("*"):
                path = file.relative_to(base)
                if file.is_file() and not any(part[0] in "_." for part in path.parts):
                    found.add(path.as_posix())
        return found

    def write_ring(self) -> None:
        """Write what the agent will print."""
        self.ring.write_bytes(self._ring(self.entries))

    def write_ring_of(self, node: str, file: Path) -> None:
        """Write to `file` what the agent of a process on `node` will print: spread data sets lie there only."""
        entries = [
            entry | {"bases": self._bases(entry["dataset"], (node,))} if entry.get("spread") else entry
            for entry in self.entries
        ]
        file.write_bytes(self._ring(entries))

    @staticmethod
    def _ring(entries: list[dict[str, Any]]) -> bytes:
        ring = {
            "ppml": "keyring/1",
            "trust_domain": TRUST_DOMAIN,
            "generation": "r-g1",
            "datasets": entries,
        }
        return canonical_json(ring)

    def environment(self) -> dict[str, str]:
        """What a JVM of this world needs in its environment."""
        return {
            "PPML_OPS_AGENT_PYTHON": str(self.agent),
            "PPML_OPS_AGENT_CONFIG": str(self.ring),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_WORKER_DIR": str(self.root / "work"),
        }


def spark_conf(jar: Path, root: Path) -> dict[str, str]:
    """Spark's conf of every test: our three classes, and nothing outside `root`."""
    package = "io.github.ppmlops.spark"
    return {
        "spark.plugins": f"{package}.PpmlPlugin",
        "spark.sql.sources.commitProtocolClass": f"{package}.SealedCommitProtocol",
        "spark.hadoop.fs.sealed.impl": f"{package}.SealedFileSystem",
        "spark.driver.extraClassPath": str(jar),
        "spark.executor.extraClassPath": str(jar),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.local.dir": str(root / "local"),
        # Short tests gain from a lazy compiler and from no code generation.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": "sealed://w-table/warehouse",
        "spark.sql.catalogImplementation": "in-memory",
    }


@contextmanager
def changed(file: Path, data: bytes | None) -> Iterator[None]:
    """`file` with other content (None: absent) inside the block, as before after it."""
    before = file.read_bytes()
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    try:
        yield
    finally:
        file.write_bytes(before)

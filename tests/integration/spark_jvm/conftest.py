"""One Spark session for the tests of file system and commit protocol; its JVM has one key ring for all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.canonical import sha256_hex
from ppml_ops.datasets.manifest import build_manifest
from ppml_ops.errors import ConfigError
from ppml_ops.spark.jvm.build import build_jar
from tests.integration.spark_jvm.world import FORMATS, World, head, spark_conf


@pytest.fixture(scope="package")
def jar() -> Path:
    """The built jar. Without Java: skipped, or failed where Java is required."""
    try:
        return build_jar()
    except ConfigError as error:
        if os.environ.get("PPML_OPS_REQUIRE_JAVA") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


WRITTEN = (
    "w-abort",
    "w-agg",
    "w-append",
    "w-bare",
    "w-big",
    "w-fmt",
    "w-lose",
    "w-lose2",
    "w-name",
    "w-own",
    "w-rdd",
    "w-retry",
    "w-root",
    "w-secret",
    "w-table",
    "w-zero",
)


def _bind_all(world: World) -> None:
    for dataset in WRITTEN:
        world.bind_write(dataset)
    for dataset in ("w-two", "w-two-dyn"):
        world.bind_write(dataset, ("node-a", "node-b"))
    for dataset in ("s-plain", "s-refuse"):
        world.bind_write(dataset, spread=True)
    world.bind_write("w-later", version=5, previous="ee" * 32)
    for kind in FORMATS:
        world.table(f"r-{kind}", kind)
    _bind_two_nodes(world)
    _bind_bad(world)


def _bind_two_nodes(world: World) -> None:
    """Part 0 on node a, part 1 on both, part 2 on node b; the manifest on node a."""
    parts = [
        world.put("r-two", "t/0.txt", b"0\n"),
        world.put("r-two", "t/1.txt", b"1\n"),
        world.put("r-two", "t/2.txt", b"2\n", "node-b"),
    ]
    (world.base("r-two", "node-b") / "t/1.txt").write_bytes((world.base("r-two") / "t/1.txt").read_bytes())
    world.bind_read("r-two", world.publish("r-two", parts).digest, ("node-a", "node-b"))


def _bind_bad(world: World) -> None:
    """Data sets whose manifest or key is not what the key ring expects; `t/0.txt` is there in all of them."""
    names = ("bad-rollback", "bad-edited", "bad-gone", "bad-key", "bad-domain", "bad-form", "bad-version")
    for name in names:
        manifest = world.publish(name, [world.put(name, "t/0.txt", b"0\n")])
        key = os.urandom(32) if name == "bad-key" else None
        data = manifest.encode()
        if name == "bad-rollback":
            world.publish(name, [])
        elif name == "bad-edited":
            data = data.replace(b"2026-11-20", b"2026-11-21")
        elif name == "bad-gone":
            (world.base(name) / "_manifest" / "1.json").unlink()
        elif name == "bad-domain":
            data = _signed(world, name, trust_domain="cd" * 32)
        elif name == "bad-form":
            data = data.replace(b'"version":1,', b'"version": 1,')
        elif name == "bad-version":
            data = _signed(world, name, version=2)
        if data != manifest.encode():
            world.publish_bytes(name, data)
        world.bind_read(name, sha256_hex(data), key=key)


def _signed(world: World, name: str, *, version: int = 1, trust_domain: str | None = None) -> bytes:
    fixed = head(name, trust_domain=trust_domain) if trust_domain else head(name)
    return build_manifest(fixed, version, [], world.key(name)).encode()


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """All data sets of the shared session."""
    made = World(tmp_path_factory.mktemp("spark-jvm"))
    _bind_all(made)
    made.write_ring()
    return made


@contextmanager
def stderr_to(file: Path) -> Iterator[None]:
    """Processes started inside the block write their stderr to `file`."""
    saved = os.dup(2)
    with file.open("ab") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@pytest.fixture(scope="package")
def spark(world: World, jar: Path) -> Iterator[Any]:
    """A `local[2,3]` session (three attempts a task) with an event log; its JVM ends with the package."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if SparkContext._gateway is not None:
        pytest.fail("another test module left a JVM behind; it has no key ring of ours")
    patch = pytest.MonkeyPatch()
    workers = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    for name, value in (world.environment() | workers).items():
        patch.setenv(name, value)
    events = world.root / "events"
    events.mkdir()
    builder = SparkSession.builder.master("local[2,3]").appName("spark-jvm")
    conf = spark_conf(jar, world.root) | {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.log.level": "WARN",
    }
    for name, value in conf.items():
        builder = builder.config(name, value)
    with stderr_to(world.log):
        session = builder.getOrCreate()
    yield session
    session.stop()
    gateway = SparkContext._gateway
    assert gateway is not None
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(30)
    SparkContext._gateway = SparkContext._jvm = None
    patch.undo()

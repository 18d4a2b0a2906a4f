"""What Spark sees of a sealed data set: whole or not at all, whatever its own settings forgive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.spark_jvm.world import (
    FORMATS,
    PARTS,
    ROWS_PER_PART,
    World,
    changed,
    seal_bytes,
    table_bytes,
)

pytestmark = pytest.mark.java

LENIENT = {"spark.sql.files.ignoreCorruptFiles": "true", "spark.sql.files.ignoreMissingFiles": "true"}


def load(spark: Any, kind: str, path: str) -> int:
    """Number of rows, every column of every row read."""
    reader = spark.read.format(kind)
    if kind in ("csv", "json"):
        reader = reader.schema("id long, name string")
    frame = reader.option("header", "true").load(path)
    return sum(1 for _ in frame.collect())


@pytest.fixture(params=[False, True], ids=["strict", "lenient"])
def forgiving(spark: Any, request: pytest.FixtureRequest) -> Any:
    """Spark told to skip corrupt and missing files, or not."""
    for name, value in LENIENT.items():
        spark.conf.set(name, value if request.param else "false")
    yield request.param
    for name in LENIENT:
        spark.conf.unset(name)


@pytest.mark.parametrize("kind", FORMATS)
def test_spark_reads_what_python_sealed(spark: Any, kind: str) -> None:
    assert load(spark, kind, f"sealed://r-{kind}/t") == PARTS * ROWS_PER_PART
    assert load(spark, kind, f"sealed://r-{kind}/t/part-1.{kind}") == ROWS_PER_PART
    assert load(spark, kind, f"sealed://r-{kind}/t/part-[01]*") == 2 * ROWS_PER_PART


def flipped(file: Path) -> bytes:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    return bytes(data)


def other(world: World, dataset: str, kind: str) -> bytes:
    """Another authentic file of the same data set and key, of the same length."""
    return seal_bytes(table_bytes(kind, ROWS_PER_PART), world.key(dataset), dataset)


@pytest.mark.parametrize(
    ("kind", "forgiving"), [*((kind, True) for kind in FORMATS), ("parquet", False)], indirect=["forgiving"]
)
def test_a_part_that_is_not_the_published_one_is_refused(
    spark: Any, world: World, kind: str, forgiving: bool
) -> None:
    """Missing, cut to nothing, cut, changed, replaced, foreign: also when Spark may skip such files."""
    dataset = f"r-{kind}"
    file = world.base(dataset) / f"t/part-1.{kind}"
    whole = file.read_bytes()
    cases = {
        "missing": (None, f"missing t/part-1.{kind}"),
        "empty": (b"", "has 0 bytes instead of"),
        "cut": (whole[:-1], f"has {len(whole) - 1} bytes instead of"),
        "header of another file": (other(world, dataset, kind), "was replaced by another file"),
        "one bit": (flipped(file), "not authentic"),
        "foreign, with our header": (whole[:40] + other(world, dataset, kind)[40:], "not authentic"),
    }
    for case, (data, message) in cases.items():
        with changed(file, data), pytest.raises(Exception, match=message) as caught:
            load(spark, kind, f"sealed://{dataset}/t")
        assert "PPML-INTEGRITY: data set" in str(caught.value), case
    assert load(spark, kind, f"sealed://{dataset}/t") == PARTS * ROWS_PER_PART


def test_a_single_missing_file_and_a_missing_folder_are_integrity_errors(spark: Any, world: World) -> None:
    base = world.base("r-csv")
    with changed(base / "t/part-1.csv", None), pytest.raises(Exception, match=r"missing t/part-1\.csv"):
        load(spark, "csv", "sealed://r-csv/t/part-1.csv")
    (base / "t").rename(base / "moved")
    try:
        with pytest.raises(Exception, match="missing t"):
            load(spark, "csv", "sealed://r-csv/t")
    finally:
        (base / "moved").rename(base / "t")


def test_strangers_are_hidden(spark: Any, world: World) -> None:
    """Also a stranger sealed with the right key, and a planted `_spark_metadata` that names fewer files."""
    base = world.base("r-csv")
    world.put("r-csv", "t/part-9.csv", table_bytes("csv", 900))
    world.put("r-csv", "u/part-9.csv", table_bytes("csv", 900))
    world.put("r-csv", "t/_spark_metadata/0", b"v1\n")
    assert load(spark, "csv", "sealed://r-csv/t") == PARTS * ROWS_PER_PART
    for path in ("t/part-9.csv", "u"):
        with pytest.raises(Exception, match="PATH_NOT_FOUND"):
            load(spark, "csv", f"sealed://r-csv/{path}")
    assert "no manifest names are hidden: t/part-9.csv" in world.log.read_text()
    (base / "t/part-9.csv").unlink()
    (base / "u/part-9.csv").unlink()


@pytest.mark.parametrize("path", ["t/_temporary/0", "_manifest/1.json", "t/.hidden", "t/_SUCCESS"])
def test_names_of_committers_cannot_be_opened_in_a_data_set_that_is_read(
    spark: Any, world: World, path: str
) -> None:
    file = world.base("r-text") / path
    if not file.exists():
        world.put("r-text", path, b"hidden\n")
    with pytest.raises(Exception, match="named by no manifest"):
        hadoop_open(spark, f"sealed://r-text/{path}")


def test_only_whole_components_are_exempt(spark: Any, world: World) -> None:
    world.put("r-text", "_temporary2/x", b"hidden\n")
    with pytest.raises(Exception, match="FileNotFoundException"):
        hadoop_open(spark, "sealed://r-text/_temporary2/x")


def hadoop_open(spark: Any, path: str) -> None:
    jvm = spark.sparkContext._jvm
    target = jvm.org.apache.hadoop.fs.Path(path)
    target.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).open(target).close()


def test_parts_on_two_nodes_are_one_data_set(spark: Any, world: World) -> None:
    assert load(spark, "text", "sealed://r-two/t") == 3
    copy = world.base("r-two", "node-b") / "t/1.txt"
    with (
        changed(copy, copy.read_bytes()[:-1]),
        pytest.raises(Exception, match=r"t/1\.txt has 57 bytes instead of 58"),
    ):
        load(spark, "text", "sealed://r-two/t")
    with changed(world.base("r-two") / "t/1.txt", None):
        assert load(spark, "text", "sealed://r-two/t") == 3


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("bad-rollback", "_manifest/1.json is not the expected one"),
        ("bad-edited", "not authentic"),
        ("bad-gone", "_manifest/1.json is missing"),
        ("bad-key", "not authentic"),
        ("bad-domain", "'trust_domain' is not the expected"),
        ("bad-form", "not in canonical form"),
        ("bad-version", "says version 2"),
    ],
)
def test_a_manifest_that_is_not_the_expected_one_is_refused(spark: Any, dataset: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        load(spark, "text", f"sealed://{dataset}/t")
    assert "SealedIntegrityException" in str(caught.value)


def test_an_unknown_data_set_names_loader_and_known_ones(spark: Any) -> None:
    with pytest.raises(
        Exception, match=r"no key for data set 'unknown' in this process \(loader .*known: .*r-csv"
    ):
        load(spark, "text", "sealed://unknown/t")


@pytest.mark.parametrize("name", ["a_b", "a--b-", "-a", "A", "a.b", "x" * 41])
def test_names_outside_the_grammar_are_refused(spark: Any, name: str) -> None:
    with pytest.raises(Exception, match="names no data set"):
        load(spark, "text", f"sealed://{name}/t")


def test_paths_do_not_leave_the_data_set(spark: Any) -> None:
    with pytest.raises(Exception, match="can't be used in a sealed: path"):
        load(spark, "text", "sealed://r-text/../r-csv")


def test_a_data_set_that_is_read_cannot_be_changed(spark: Any, world: World) -> None:
    before = world.files("r-text")
    writes: list[Callable[[], None]] = [
        lambda: spark.range(3).write.mode("overwrite").csv("sealed://r-text/t"),
        lambda: spark.range(3).write.mode("append").csv("sealed://r-text/t"),
        lambda: spark.sparkContext.parallelize(["x"], 1).saveAsTextFile("sealed://r-text/new"),
    ]
    for write in writes:
        with pytest.raises(Exception, match="data set 'r-text' is bound read-only"):
            write()
    jvm = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path("sealed://r-text/t")
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    changes: list[Callable[[], object]] = [
        lambda: system.delete(path, True),
        lambda: system.rename(path, path),
        lambda: system.mkdirs(path),
    ]
    for change in changes:
        with pytest.raises(Exception, match="bound read-only"):
            change()
    assert world.files("r-text") == before


def test_other_readers_are_checked_alike(spark: Any, world: World) -> None:
    file = world.base("r-text") / "t/part-1.text"
    assert spark.sparkContext.textFile("sealed://r-text/t").count() == PARTS * ROWS_PER_PART
    with changed(file, b""):
        reads: list[Callable[[], object]] = [
            lambda: spark.sparkContext.textFile("sealed://r-text/t").count(),
            lambda: spark.read.format("binaryFile").load("sealed://r-text/t").count(),
        ]
        for read in reads:
            with pytest.raises(Exception, match="has 0 bytes instead of"):
                read()


def test_a_file_cut_after_planning_is_refused_when_opened(spark: Any, world: World, forgiving: bool) -> None:
    frame = spark.read.text("sealed://r-text/t")
    for data, message in ((None, "missing t/part-1.text"), (b"", "has 0 bytes instead of")):
        with (
            changed(world.base("r-text") / "t/part-1.text", data),
            pytest.raises(Exception, match=message),
        ):
            frame.collect()

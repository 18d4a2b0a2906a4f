"""Nodes with disks of their own: parts stay where they were written, and what can't work says so."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.spark_jvm.test_applications import submit
from tests.integration.spark_jvm.test_writing import frame, listed
from tests.integration.spark_jvm.world import FORMATS, World

pytestmark = pytest.mark.java

ALGORITHM = "mapreduce.fileoutputcommitter.algorithm.version"
REFUSED = "lies on the disks of several nodes"


@pytest.fixture
def two(spark: Any) -> Any:
    """The shared session, with the commit algorithm that spread data sets need."""
    conf = spark.sparkContext._jsc.hadoopConfiguration()
    before = conf.get(ALGORITHM)
    conf.set(ALGORITHM, "2")
    yield spark
    conf.set(ALGORITHM, before)


def test_every_format_is_written_appended_and_overwritten(two: Any, world: World) -> None:
    version = 0
    for kind in FORMATS:
        rows = frame(two, 30)
        rows = rows.selectExpr("cast(id as string) as value") if kind == "text" else rows
        for mode in ("append", "append", "overwrite"):
            rows.write.mode(mode).format(kind).save(f"sealed://s-plain/{kind}")
            version += 1
    assert len(listed(world, "s-plain", version)) == 3 * len(FORMATS)
    assert world.files("s-plain") == listed(world, "s-plain", version)


def test_what_the_job_wrote_cannot_be_read_in_the_job(two: Any, world: World) -> None:
    frame(two, 30).write.partitionBy("p").csv("sealed://s-refuse/back")
    (part, *_) = world.files("s-refuse")
    for path in ("back", "back/p=1", "back/*/part-*", "*", part):
        with pytest.raises(Exception, match=f"{REFUSED}: what this job writes can't be read in the same job"):
            two.read.csv(f"sealed://s-refuse/{path}").count()


def test_writes_that_would_need_other_nodes_disks_are_refused(two: Any, world: World) -> None:
    before = world.files("s-refuse")
    rows = frame(two, 30)
    dynamic = rows.write.partitionBy("p").mode("overwrite").option("partitionOverwriteMode", "dynamic")
    with pytest.raises(Exception, match=f"{REFUSED}: partitions can't be overwritten dynamically"):
        dynamic.csv("sealed://s-refuse/dynamic")
    with pytest.raises(Exception, match=f"{REFUSED}: Hadoop's commit algorithm must be 2, not 1"):
        rows.write.option(ALGORITHM, "1").csv("sealed://s-refuse/one")
    with pytest.raises(Exception, match=f"{REFUSED}: only DataFrame writers can write to it"):
        rows.rdd.saveAsTextFile("sealed://s-refuse/rdd")
    two.sql(
        "create table spread (id bigint, p int) using csv partitioned by (p) location 'sealed://s-refuse/t'"
    )
    two.sql("alter table spread add partition (p=1) location 'sealed://s-refuse/elsewhere'")
    with pytest.raises(Exception, match=f"{REFUSED}: a partition with a location of its own"):
        two.sql("insert into spread partition (p=1) select id from range(10)")
    two.sql("drop table spread")
    assert world.files("s-refuse") == before


def test_files_of_the_driver_itself_are_refused(two: Any) -> None:
    jvm = two.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path("sealed://s-refuse/own/file")
    system = path.getFileSystem(two.sparkContext._jsc.hadoopConfiguration())
    with pytest.raises(Exception, match=f"{REFUSED}: only DataFrame writers"):
        system.create(path, False)
    assert not system.exists(path)


# Executor 0 is on the driver's node, all others are on node-b. The fake agent tells them by their work folder.
AGENT = """
case "$PWD" in
    */work/app-*/0) exec cat "$6";;
    */work/app-*) exec cat "$6.node-b";;
esac
exec cat "$6"
"""

START = f"""
import os, signal, time
from pyspark import TaskContext
from pyspark.sql import SparkSession
spark = SparkSession.builder.config("spark.hadoop.{ALGORITHM}", "2").getOrCreate()
sc = spark.sparkContext
while sc._jsc.sc().getExecutorMemoryStatus().size() < 3:
    time.sleep(0.1)
rows = lambda n: spark.range(0, n, 1, 2).selectExpr("id", "id % 34 as p")

def refused(paths):
    try:
        spark.read.schema("id long").csv(paths).count()
    except Exception as error:
        return "can't be read in the same job" in str(error)
"""


@pytest.fixture
def apart(tmp_path: Path) -> World:
    """A written data set; its executors 0 and 1 see different folders of it."""
    world = World(tmp_path)
    world.bind_write("out", spread=True)
    world.bind_read("people", world.publish("people", [world.put("people", "t/0.txt", b"0\n")]).digest)
    world.write_ring()
    world.write_ring_of("node-b", Path(f"{world.ring}.node-b"))
    world.write_agent(AGENT)
    return world


def run(world: World, jar: Path, script: str) -> None:
    result = submit(world, jar, "local-cluster[2,1,512]", START + script + 'print("DONE")\n')
    assert "DONE" in result.stdout, result.stderr[-3000:]


def check(world: World, version: int) -> None:
    """Every part lies where the manifest says and is what it says, and nothing else does."""
    manifest = world.manifest("out", version)
    on_disk = {(path, node) for node in ("node-a", "node-b") for path in world.files("out", node)}
    assert on_disk == {(part.path, part.node) for part in manifest.parts}
    for part in manifest.parts:
        sealed = (world.base("out", part.node or "") / part.path).read_bytes()
        assert (len(sealed), sealed[:40].hex()) == (part.length, part.header)
    assert not (world.base("out", "node-b") / "_manifest").exists()


WRITES = """
rows(68).write.partitionBy("p").csv("sealed://out/t")
rows(68).write.mode("append").partitionBy("p").csv("sealed://out/t")
assert refused("sealed://out/t")
assert refused([f"sealed://out/t/p={p}" for p in range(34)])     # more than 32 paths: listed by executors
spark.range(0, 10, 1, 1).write.parquet("sealed://out/one")
assert refused("sealed://out/one")                               # wherever its part lies
assert spark.read.text("sealed://people/t").count() == 1
"""


def test_each_node_keeps_what_was_written_on_it(apart: World, jar: Path) -> None:
    run(apart, jar, WRITES)
    check(apart, 3)
    assert {part.node for part in apart.manifest("out", 3).parts} == {"node-a", "node-b"}


LOST = """
def part(index, numbers):
    context = TaskContext.get()
    for count, number in enumerate(numbers):
        if index == 0 and count == 9_000 and context.attemptNumber() == 0:
            raise RuntimeError("planned failure")
        if index == 1 and count == 9_000 and context.attemptNumber() == 0:
            jvm = int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])
            os.kill(jvm, signal.SIGKILL)                         # the parent of the daemon of Python workers
        yield (number,)
numbers = sc.parallelize(range(20_000), 2).mapPartitionsWithIndex(part)
spark.createDataFrame(numbers, "id long").write.option("maxRecordsPerFile", "1000").csv("sealed://out/lost")
rows(40).write.csv("sealed://out/after")
"""


def test_failed_tasks_and_lost_executors_leave_no_part(apart: World, jar: Path) -> None:
    run(apart, jar, LOST)
    check(apart, 2)
    assert len([part for part in apart.manifest("out", 2).parts if part.path.startswith("lost/")]) == 20

"""Whole applications in processes of their own: refused drivers and executors, executors in other JVMs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppml_ops.spark.jvm.build import find_java, spark_jars
from tests.integration.spark_jvm.world import World, spark_conf

pytestmark = pytest.mark.java

NOTHING = "from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate()\nprint('never')\n"

CLUSTER = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.conf.set("spark.sql.files.openCostInBytes", "1")           # few tasks
spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", "4")
rows = lambda n: spark.range(0, n, 1, 2).selectExpr("id", "id % 34 as p")
folders = [f"sealed://out/t/p={p}" for p in range(34)]           # more than 32 paths: listed by executors
count = lambda: spark.read.schema("id long").csv(folders).count()
rows(34).write.partitionBy("p").csv("sealed://out/t")
assert count() == 34
rows(34).write.mode("append").partitionBy("p").csv("sealed://out/t")
assert count() == 68                                             # executors see the new version
assert spark.read.text(["sealed://people/t"]).count() == 1
rows(34).write.mode("overwrite").partitionBy("p").csv("sealed://out/t")
assert count() == 34
print("DONE")
"""


def submit(world: World, jar: Path, master: str, script: str) -> subprocess.CompletedProcess[str]:
    """spark-submit with the conf of all tests; returns when the application has ended."""
    file = world.root / "script.py"
    file.write_text(script)
    conf = spark_conf(jar, world.root) | {
        "spark.executor.memory": "512m",
        "spark.sql.warehouse.dir": (world.root / "warehouse").as_uri(),
        "spark.pyspark.python": sys.executable,
    }
    options = [argument for name, value in conf.items() for argument in ("--conf", f"{name}={value}")]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(world.root),
        "JAVA_HOME": str(find_java().resolve().parent.parent),
        "PYSPARK_PYTHON": sys.executable,
        **world.environment(),
    }
    return subprocess.run(
        [str(spark_jars().parent / "bin" / "spark-submit"), "--master", master, *options, str(file)],
        cwd=world.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def small(tmp_path: Path) -> World:
    """A world with a data set to read and one to write, on two nodes."""
    world = World(tmp_path)
    world.bind_write("out", ("node-a", "node-b"))
    world.bind_read("people", world.publish("people", [world.put("people", "t/0.txt", b"0\n")]).digest)
    world.write_ring()
    return world


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_a_refused_driver_ends_with_the_agents_code(small: World, jar: Path) -> None:
    small.write_agent('echo "measurement is not allowed" >&2; exit 77')
    result = submit(small, jar, "local[1]", NOTHING)
    assert result.returncode == 77, result.stderr
    assert lines(result.stderr, "PPML-") == ["PPML-DENIED: measurement is not allowed"]
    assert "never" not in result.stdout


def test_a_refused_executor_ends_the_application(small: World, jar: Path) -> None:
    """The first call, the driver's, gets its keys; the executors' calls don't."""
    small.write_agent('mkdir "$(dirname "$6")/first" 2>/dev/null && exec cat "$6"; echo "refused" >&2; exit 78')
    result = submit(small, jar, "local-cluster[1,1,512]", NOTHING + "import time\ntime.sleep(60)\n")
    assert result.returncode == 78, result.stderr
    ours = lines(result.stderr, "PPML-CONFIG: executor ")
    assert ours, result.stderr
    assert ours[0].endswith(": refused")


def test_executors_in_other_processes_write_list_and_follow_the_driver(small: World, jar: Path) -> None:
    result = submit(small, jar, "local-cluster[2,1,512]", CLUSTER)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "DONE" in result.stdout
    assert len((small.root / "calls").read_text().splitlines()) == 3
    manifest = small.manifest("out", 3)
    assert {part.node for part in manifest.parts} == {"node-a", "node-b"}
    assert small.files("out", "node-a", "node-b") == {part.path for part in manifest.parts}
    assert json.loads(small.ring.read_bytes())["datasets"][0]["key"] not in result.stderr

"""Keys reach neither Spark's conf, nor the event log, nor the JVM's log, nor any file in the clear."""

from typing import Any

import pytest

from ppml_ops.canonical import b64e
from tests.integration.spark_jvm.world import World

pytestmark = pytest.mark.java


def test_no_key_leaves_the_key_ring(spark: Any, world: World) -> None:
    spark.read.text("sealed://r-text/t").count()
    spark.range(3).write.mode("append").csv("sealed://w-secret/t")
    spellings = [
        form
        for key in world.keys.values()
        for form in (key, key.hex().encode(), b64e(key).encode(), key.hex().upper().encode())
    ]
    conf = spark.sparkContext.getConf().getAll()
    assert not [name for name, _ in conf if name.startswith("spark.plugins.internal.conf")]
    assert not [form for form in spellings if form in repr(conf).encode()]
    files = [file for file in world.root.rglob("*") if file.is_file() and file != world.ring]
    assert [file for file in files if file.is_relative_to(world.root / "events")]
    assert world.log in files
    for file in files:
        content = file.read_bytes()
        assert not [form for form in spellings if form in content], file


def test_the_agent_ran_once_in_local_mode(spark: Any, world: World) -> None:
    """Driver and executor share the JVM; a second context in it gets no second ring either."""
    assert spark.range(2).count() == 2
    assert len((world.root / "calls").read_text().splitlines()) == 1


def test_spark_cannot_be_told_another_folder_or_mode(spark: Any, world: World) -> None:
    """Bindings come from the ring: conf of these names has no meaning."""
    with_conf = spark.newSession()
    for name in ("fs.sealed.r-text.base", "spark.hadoop.fs.sealed.r-text.base", "fs.sealed.r-text.mode"):
        with_conf.conf.set(name, "file:///tmp")
    assert with_conf.read.text("sealed://r-text/t").count() == 150


def test_without_the_commit_protocol_nothing_is_published(spark: Any, world: World) -> None:
    name = "spark.sql.sources.commitProtocolClass"
    session = spark.newSession()
    session.conf.set(name, "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol")
    session.range(3).write.csv("sealed://w-bare/t")
    assert not (world.base("w-bare") / "_manifest").exists()
    assert len(world.files("w-bare")) >= 1
    with pytest.raises(Exception, match=r"UNABLE_TO_INFER_SCHEMA|Unable to infer"):
        session.read.csv("sealed://w-bare/t").count()

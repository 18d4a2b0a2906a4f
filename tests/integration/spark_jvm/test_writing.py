"""Spark's writes end in a manifest, or change nothing: all formats, partitions, overwrites, failures, races."""

import hashlib
import hmac
import io
import json
import threading
from typing import Any

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
import tink
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from tests.integration.spark_jvm.world import FORMATS, World, unseal_bytes

pytestmark = pytest.mark.java


def frame(spark: Any, rows: int, partitions: int = 3) -> Any:
    """Columns id and p = id % 3."""
    return spark.range(0, rows, 1, partitions).selectExpr("id", "id % 3 as p")


def listed(world: World, dataset: str, version: int) -> set[str]:
    return {part.path for part in world.manifest(dataset, version).parts}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_written_published_and_read_back(spark: Any, world: World, kind: str) -> None:
    rows = frame(spark, 300)
    rows = rows.selectExpr("cast(id as string) as value") if kind == "text" else rows
    path = f"sealed://w-fmt/{kind}"
    version = len(list((world.base("w-fmt") / "_manifest").glob("*.json"))) + 1
    rows.write.format(kind).option("header", "true").save(path)
    assert spark.read.format(kind).option("header", "true").load(path).distinct().count() == 300
    manifest = world.manifest("w-fmt", version)
    mine = [part for part in manifest.parts if part.path.startswith(f"{kind}/")]
    assert len(mine) == 3
    for part in manifest.parts:
        sealed = (world.base("w-fmt") / part.path).read_bytes()
        assert (len(sealed), sealed[:40].hex(), part.node) == (part.length, part.header, "node-a")
    assert not list(world.base("w-fmt").rglob("*_temporary*"))
    assert not list(world.base("w-fmt").rglob("*.crc"))


def test_plain_file_systems_are_left_alone(spark: Any, world: World) -> None:
    path = world.root / "plain"
    for _ in range(2):
        frame(spark, 30).write.mode("overwrite").parquet(path.as_uri())
    assert pyarrow.parquet.read_table(path).num_rows == 30


@pytest.mark.parametrize("algorithm", ["1", "2"])
def test_partitions_append_and_overwrites(spark: Any, world: World, algorithm: str) -> None:
    """On two node folders, the same with both commit algorithms of Hadoop."""
    dataset, nodes = "w-two-dyn", ("node-a", "node-b")
    folder = f"a{algorithm}"
    path = f"sealed://{dataset}/{folder}"
    done = len(list((world.base(dataset) / "_manifest").glob("*.json")))

    def write(rows: Any, mode: str, dynamic: bool = False) -> tuple[int, int]:
        nonlocal done
        writer = (
            rows.write.mode(mode)
            .partitionBy("p")
            .option("mapreduce.fileoutputcommitter.algorithm.version", algorithm)
        )
        writer.option("partitionOverwriteMode", "dynamic" if dynamic else "static").parquet(path)
        done += 1
        parts = {part for part in listed(world, dataset, done) if part.startswith(f"{folder}/")}
        assert {part for part in world.files(dataset, *nodes) if part.startswith(f"{folder}/")} == parts
        return len(parts), spark.read.parquet(path).count()

    assert write(frame(spark, 300), "append") == (9, 300)
    assert write(frame(spark, 300), "append") == (18, 600)
    assert write(frame(spark, 100, 1), "overwrite") == (3, 100)
    assert write(frame(spark, 300), "append") == (12, 400)
    one = frame(spark, 30, 1).where("p = 1")
    assert write(one, "overwrite", dynamic=True) == (9, 100 + 300 - 133 + 10)
    assert spark.read.parquet(path).where("p = 1").count() == 10
    manifest = world.manifest(dataset, done)
    assert manifest.previous == world.manifest(dataset, done - 1).digest
    for node in nodes:
        base = world.base(dataset, node)
        assert not [file for file in base.rglob("*") if file.name.startswith((".spark", "_temporary"))]
    on_disk = {(path, node) for node in nodes for path in world.files(dataset, node)}
    assert on_disk == {(part.path, part.node) for part in manifest.parts}


def test_tasks_write_to_their_own_node(spark: Any, world: World) -> None:
    frame(spark, 40, 4).write.csv("sealed://w-two/out")
    manifest = world.manifest("w-two", 1)
    assert sorted(part.node or "" for part in manifest.parts) == ["node-a", "node-a", "node-b", "node-b"]
    for part in manifest.parts:
        assert (world.base("w-two", part.node or "") / part.path).stat().st_size == part.length
    assert spark.read.csv("sealed://w-two/out").count() == 40


def test_the_ring_says_which_version_comes_first(spark: Any, world: World) -> None:
    frame(spark, 3).write.csv("sealed://w-later/a")
    frame(spark, 3).write.csv("sealed://w-later/b")
    first, second = world.manifest("w-later", 5), world.manifest("w-later", 6)
    assert (first.previous, second.previous) == ("ee" * 32, first.digest)
    assert {part.path for part in first.parts} < {part.path for part in second.parts}


def fail_late(attempts: int) -> Any:
    """A partition function that fails in its first `attempts` attempts, after it has written files."""

    def rows(index: int, numbers: Any) -> Any:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        for count, number in enumerate(numbers):
            if index == 1 and count == 9_000 and context.attemptNumber() < attempts:
                raise RuntimeError("planned failure")
            yield (number,)

    return rows


def late_frame(spark: Any, attempts: int) -> Any:
    numbers = spark.sparkContext.parallelize(range(20_000), 2)
    return spark.createDataFrame(numbers.mapPartitionsWithIndex(fail_late(attempts)), "id long")


def test_a_retried_task_leaves_only_the_files_of_its_last_attempt(spark: Any, world: World) -> None:
    late_frame(spark, 1).write.option("maxRecordsPerFile", 1000).csv("sealed://w-retry/out")
    assert spark.read.csv("sealed://w-retry/out").count() == 20_000
    assert len(listed(world, "w-retry", 1)) == 20
    assert world.files("w-retry") == listed(world, "w-retry", 1)


@pytest.mark.parametrize(("mode", "algorithm"), [("append", "2"), ("overwrite", "1")])
def test_a_failed_write_keeps_the_old_version(spark: Any, world: World, mode: str, algorithm: str) -> None:
    path = f"sealed://w-abort/{mode}{algorithm}"
    frame(spark, 30).write.csv(path)
    manifests = set((world.base("w-abort") / "_manifest").iterdir())
    files = world.files("w-abort")
    writer = late_frame(spark, 3).write.mode(mode).option("maxRecordsPerFile", 1000)
    with pytest.raises(Exception, match="planned failure"):
        writer.option("mapreduce.fileoutputcommitter.algorithm.version", algorithm).csv(path)
    assert set((world.base("w-abort") / "_manifest").iterdir()) == manifests
    assert world.files("w-abort") == files
    assert spark.read.csv(path).count() == 30


@pytest.mark.parametrize("mode", ["append", "static", "dynamic"])
def test_the_loser_of_a_race_undoes_its_write(spark: Any, world: World, mode: str) -> None:
    """Another writer publishes the next version first: the old one stays whole, even under an overwrite."""
    dataset = "w-lose"
    path = f"sealed://{dataset}/{mode}"
    frame(spark, 30).write.partitionBy("p").csv(path)
    manifests = world.base(dataset) / "_manifest"
    next_version = len(list(manifests.glob("*.json"))) + 1
    files = world.files(dataset)
    foreign = manifests / f"{next_version}.json"
    foreign.write_bytes(b"another writer's")
    writer = frame(spark, 60).write.partitionBy("p").mode("append" if mode == "append" else "overwrite")
    with pytest.raises(Exception, match=f"another writer has published version {next_version}"):
        writer.option("partitionOverwriteMode", "dynamic" if mode == "dynamic" else "static").csv(path)
    assert foreign.read_bytes() == b"another writer's"
    assert not [file for file in manifests.iterdir() if file.name.startswith(".")]
    assert world.files(dataset) == files
    assert spark.read.csv(path).count() == 30
    foreign.unlink()


def test_the_first_write_can_lose_too(spark: Any, world: World) -> None:
    world.publish("w-lose2", [])
    with pytest.raises(Exception, match="another writer has published version 1"):
        frame(spark, 30).write.csv("sealed://w-lose2/out")
    assert world.files("w-lose2") == set()


def test_concurrent_appends_of_one_application_both_count(spark: Any, world: World) -> None:
    errors: list[BaseException] = []

    def append(name: str) -> None:
        try:
            frame(spark, 30).write.mode("append").csv(f"sealed://w-append/{name}")
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=append, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(listed(world, "w-append", 4)) == 12
    assert spark.read.csv("sealed://w-append/*").count() == 120


def test_no_rows(spark: Any, world: World) -> None:
    frame(spark, 0, 1).write.parquet("sealed://w-zero/flat")
    assert len(listed(world, "w-zero", 1)) == 1
    assert spark.read.parquet("sealed://w-zero/flat").count() == 0
    frame(spark, 0).write.partitionBy("p").parquet("sealed://w-zero/deep")
    assert listed(world, "w-zero", 2) == listed(world, "w-zero", 1)


def test_the_root_of_a_data_set_is_refused(spark: Any, world: World) -> None:
    with pytest.raises(Exception, match="write to a folder in the data set"):
        frame(spark, 3).write.mode("append").csv("sealed://w-root/")
    assert world.files("w-root") == set()


def test_tables(spark: Any, world: World) -> None:
    """saveAsTable, insertInto, INSERT OVERWRITE, a bucketed table, a directory, DROP and create again."""
    frame(spark, 30).write.partitionBy("p").saveAsTable("people")
    frame(spark, 30).write.insertInto("people")
    assert spark.table("people").count() == 60
    frame(spark, 9).write.insertInto("people", overwrite=True)
    assert spark.table("people").count() == 9
    frame(spark, 12).write.mode("overwrite").partitionBy("p").saveAsTable("people")
    assert spark.table("people").count() == 12
    frame(spark, 30).write.bucketBy(2, "id").saveAsTable("buckets")
    assert spark.table("buckets").count() == 30
    for rows in (30, 20):
        spark.sql(
            f"insert overwrite directory 'sealed://w-table/dir' using parquet select * from range({rows})"
        )
        assert spark.read.parquet("sealed://w-table/dir").count() == rows
    last = len(list((world.base("w-table") / "_manifest").glob("*.json")))
    assert world.files("w-table") == listed(world, "w-table", last)
    spark.sql("drop table people")
    spark.sql("drop table buckets")


def test_a_partition_with_its_own_location(spark: Any, world: World) -> None:
    """Inside the data set it is published; outside, where it would lie in clear, it is refused."""
    spark.sql("create table located (id bigint, p int) using parquet partitioned by (p)")
    spark.sql("alter table located add partition (p=1) location 'sealed://w-table/elsewhere/p1'")
    spark.sql("insert into located partition (p=1) select id from range(10)")
    assert spark.table("located").count() == 10
    assert [part for part in world.files("w-table") if part.startswith("elsewhere/p1/")]
    plain = world.root / "clear"
    with pytest.raises(Exception, match=r"own location outside the data set|Wrong FS"):
        spark.sql(f"alter table located add partition (p=2) location '{plain.as_uri()}'")
        spark.sql("insert into located partition (p=2) select id from range(10)")
    assert not plain.exists() or not [file for file in plain.rglob("*") if file.is_file()]
    spark.sql("drop table located")


def test_dsv2_writes_are_published_too(spark: Any, world: World) -> None:
    before = spark.conf.get("spark.sql.sources.useV1SourceList")
    spark.conf.set("spark.sql.sources.useV1SourceList", "")
    try:
        frame(spark, 30).write.mode("append").parquet("sealed://w-agg/v2")
        assert spark.read.parquet("sealed://w-agg/v2").count() == 30
    finally:
        spark.conf.set("spark.sql.sources.useV1SourceList", before)
    assert len(listed(world, "w-agg", 1)) == 3


def test_rdd_output_has_no_manifest_and_stays_hidden(spark: Any, world: World) -> None:
    spark.sparkContext.parallelize(["a", "b"], 2).saveAsTextFile("sealed://w-rdd/out")
    assert len(world.files("w-rdd")) == 2
    assert not (world.base("w-rdd") / "_manifest").exists()
    # This process wrote the files under other names; what no manifest names is not data.
    assert spark.read.text("sealed://w-rdd/out").count() == 0


def test_strangers_in_a_written_folder_are_hidden(spark: Any, world: World) -> None:
    frame(spark, 30).write.csv("sealed://w-own/out")
    world.put("w-own", "out/part-9.csv", b"900,1\n")
    assert spark.read.csv("sealed://w-own/out").count() == 30


def test_published_parts_change_only_through_commits(spark: Any, world: World) -> None:
    frame(spark, 30).write.csv("sealed://w-own/kept")
    jvm = spark.sparkContext._jvm
    part = next(part for part in world.files("w-own") if part.startswith("kept/"))
    path = jvm.org.apache.hadoop.fs.Path(f"sealed://w-own/{part}")
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    with pytest.raises(Exception, match="is published and can't be replaced"):
        system.create(path, True)
    with pytest.raises(Exception, match="is published and can't be renamed"):
        system.rename(path, jvm.org.apache.hadoop.fs.Path("sealed://w-own/kept/x"))
    for name in ("", "_manifest", "_manifest/9.json"):
        with pytest.raises(Exception, match="its root and its manifests can't be changed"):
            system.delete(jvm.org.apache.hadoop.fs.Path(f"sealed://w-own/{name}"), True)


def test_a_file_of_this_process_can_be_read_before_it_is_published(spark: Any) -> None:
    jvm = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path("sealed://w-own/own/file")
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    stream = system.create(path, False)
    stream.write(bytearray(b"0123456789"))
    stream.close()
    assert system.getFileStatus(path).getLen() == 10
    back = system.open(path)
    back.seek(7)
    assert back.read() == ord("7")
    back.close()
    assert [status.getPath().getName() for status in system.listStatus(path.getParent())] == ["file"]
    assert system.rename(path, jvm.org.apache.hadoop.fs.Path("sealed://w-own/own/moved"))
    assert not system.exists(path)
    assert system.exists(jvm.org.apache.hadoop.fs.Path("sealed://w-own/own/moved"))
    assert system.delete(path.getParent(), True)


def test_names_that_no_manifest_can_hold_are_refused_before_publication(spark: Any, world: World) -> None:
    rows = spark.createDataFrame([(1, "é")], "id int, p string")
    with pytest.raises(Exception, match="outside printable ASCII"):
        rows.write.partitionBy("p").csv("sealed://w-name/out")
    assert world.files("w-name") == set()


def tink_keyset(key: bytes) -> Any:
    """`key` as a Tink keyset of the wire format's template."""
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=1 << 20, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    message = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(params=parameters, key_value=key)
    data = tink_pb2.KeyData(
        type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
        value=message.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW)
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


def test_several_segments_both_directions(spark: Any, world: World) -> None:
    """3 MB Parquet written by Spark: read by our Python, by Tink C++ and, seeking, by Spark."""
    spark.range(0, 400_000, 1, 1).write.option("compression", "none").parquet("sealed://w-big/out")
    (part,) = world.manifest("w-big", 1).parts
    sealed = (world.base("w-big") / part.path).read_bytes()
    assert len(sealed) > 3 << 20
    plain = unseal_bytes(sealed, world.key("w-big"), "w-big")
    assert pyarrow.parquet.read_table(io.BytesIO(plain)).num_rows == 400_000
    streaming_aead.register()
    stream = tink_keyset(world.key("w-big")).new_decrypting_stream(io.BytesIO(sealed), b"w-big")
    assert stream.read() == plain
    rows = spark.read.parquet("sealed://w-big/out")
    assert rows.where("id >= 399990").count() == 10
    assert rows.selectExpr("sum(id)").first()[0] == 400_000 * 399_999 // 2


def test_the_manifest_mac_is_the_one_of_the_format(spark: Any, world: World) -> None:
    """Computed here from the format's description alone, with nothing of ours."""
    frame(spark, 3).write.csv("sealed://w-agg/mac")
    newest = max((world.base("w-agg") / "_manifest").glob("*.json"), key=lambda file: int(file.stem))
    document = json.loads(newest.read_bytes())
    mac = document.pop("mac")
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"manifest/v1").derive(world.key("w-agg"))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == mac
    again = json.dumps(document | {"mac": mac}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert newest.read_bytes() == again.encode()

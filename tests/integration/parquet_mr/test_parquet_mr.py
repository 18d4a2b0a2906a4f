"""Encrypted Parquet between us and parquet-mr, which is what BigDL PPML reads and writes it with."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppml_ops.canonical import b64e
from ppml_ops.crypto.bigdl.meta import encode_meta, parse_meta
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.pme.reading import open_pme
from ppml_ops.datasets.pme.survey import survey_pme
from ppml_ops.datasets.pme.writing import write_pme
from ppml_ops.datasets.seal import find_sources
from ppml_ops.errors import ConfigError
from ppml_ops.keys.original import OriginalKeys, original_keys_for
from ppml_ops.spark.jvm.build import compiler, find_java, spark_jars
from tests.support.bigdl import FIXTURES, KEY_FILES, SETS

pytestmark = pytest.mark.java

FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`run(data_key, "read", file)`: the Java program, with its key list on standard input."""
    try:
        java = find_java()
    except ConfigError as error:
        if os.environ.get("PPML_OPS_REQUIRE_JAVA") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))
    classes = tmp_path_factory.mktemp("classes")
    classpath = f"{spark_jars()}/*"
    source = Path(__file__).parent / "java" / "OriginalParquet.java"
    subprocess.run([*compiler(java), "-cp", classpath, "-d", str(classes), str(source)], check=True)

    places = f"{classes}{os.pathsep}{classpath}"

    def call(key: str, *arguments: object) -> str:
        masters = f"footerKey: {b64e(key[:16].encode())}, key1: {b64e(key[16:32].encode())}"
        return subprocess.run(
            [str(java), *FAST_START, "-cp", places, "OriginalParquet", *map(str, arguments)],
            input=masters, capture_output=True, text=True, check=True, timeout=120,
        ).stdout  # fmt: skip

    return call


@pytest.fixture(params=["simple", "plain"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> OriginalKeys:
    return original_keys_for(f"simple:{KEY_FILES[request.param]}", home=tmp_path)


def test_parquet_mr_reads_what_is_written(run: Run, keys: OriginalKeys, tmp_path: Path) -> None:
    table = pa.table({"name": ["Ada", None, "Zoë", ""], "age": pa.array([36, 20, None, 0], pa.int32())})
    pq.write_table(table, tmp_path / "people.parquet")
    (tmp_path / "more.csv").write_text("name,age\nGrace,45\n")
    for source, rows in (
        ("people.parquet", ["Ada\t36", "\\N\t20", "Zoë\t\\N", "\t0"]),
        ("more.csv", ["Grace\t45"]),
    ):
        (name,) = write_pme(find_sources(str(tmp_path / source)), keys, tmp_path / f"out-{source}")
        folder = tmp_path / f"out-{source}"
        key = keys.open(parse_meta((folder / ".meta").read_bytes()))
        assert run(key, "read", folder / name).splitlines() == rows


@pytest.mark.parametrize("algorithm", ["AES_GCM_V1", "AES_GCM_CTR_V1"])
def test_what_parquet_mr_writes_is_read(algorithm: str, run: Run, keys: OriginalKeys, tmp_path: Path) -> None:
    made = keys.new()
    (tmp_path / "in").mkdir()
    run(made.text, "write", tmp_path / "in" / "part-00000.snappy.parquet", algorithm, 1000)
    (tmp_path / "in" / ".meta").write_bytes(encode_meta(made.wrapped))
    found = survey_pme(Folder(tmp_path / "in"))
    assert [part.algorithm for part in found.parts] == [algorithm]
    assert len(found.checksums) == 1, "Hadoop's side file came along"
    (path,) = open_pme(found, keys, tmp_path / "out")
    assert pq.read_table(path).to_pylist() == [
        {"name": f"näme {row}", "age": row if row % 3 else None} for row in range(1000)
    ]


@pytest.mark.parametrize("name", ["parquet_gcm_v1", "parquet_gcm_ctr_v1"])
def test_the_program_reads_the_original_s_own_files(name: str, run: Run) -> None:
    """So it stands for the original's reader."""
    lines = [
        line
        for part in SETS[name]["parts"]
        for line in run(SETS[name]["data_key"], "read", FIXTURES / "data" / name / part["file"]).splitlines()
    ]
    assert len(lines) == SETS[name]["rows"]

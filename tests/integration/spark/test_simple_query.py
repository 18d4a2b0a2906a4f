"""SimpleQuery is plain PySpark: bare spark-submit runs it, and bad input stops it clearly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppml_ops.spark.tools import spark_home
from ppml_ops.workloads import simple_query
from ppml_ops.workloads.generate_people import COLUMNS, expected_summary, generate
from ppml_ops.workloads.rows import RowSummary, summarise_csv

pytestmark = pytest.mark.java

ROWS, SEED = 5_000, 11


def summary(folder: Path) -> RowSummary:
    files = [path.open(encoding="utf-8", newline="") for path in sorted(folder.glob("part-*.csv"))]
    try:
        return summarise_csv(files, COLUMNS)
    finally:
        for file in files:
            file.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("plain")
    generate(made / "people.csv", ROWS, SEED)
    generate(made / "none.csv", ROWS, SEED, variant="no-match")
    (made / "no-age.csv").write_text("name,job\nAda,Developer\n")
    (made / "bad-age.csv").write_text("name,age,job\nAda,30,Developer\nBob,Canary,Developer\n")
    (made / "broken.csv").write_text("name,age,job\nAda,30,Developer\nBob,31\n")
    (made / "other-order.csv").write_text("job,name,age\nDeveloper,Ada,30\n")
    (made / "mixed").mkdir()
    (made / "mixed/a.csv").write_text("name,age,job\nAda,30,Developer\n")
    (made / "mixed/b.csv").write_text("job,age,name\nDeveloper,30,Ada\n")
    return made


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, str]:
    cases = Path(__file__).with_name("query_cases.py")
    command = [
        str(spark_home() / "bin/spark-submit"), "--master", "local[2]", "--conf", "spark.ui.enabled=false",
        "--conf", "spark.sql.shuffle.partitions=2", "--driver-java-options", "-XX:TieredStopAtLevel=1",
        str(cases), str(folder), str(Path(simple_query.__file__)),
    ]  # fmt: skip
    environment = os.environ | {
        "PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(spark_home()), "SPARK_LOCAL_IP": "127.0.0.1",
    }  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, timeout=280, cwd=folder)
    lines = [line for line in done.stdout.decode().splitlines() if line.startswith("RESULTS ")]
    assert lines, done.stderr[-3000:]
    found: dict[str, str] = json.loads(lines[0].removeprefix("RESULTS "))
    return found


def test_plain_data_gives_the_expected_rows(folder: Path, results: dict[str, str]) -> None:
    assert results["people.csv"] == "ok"
    assert summary(folder / "out-people.csv") == expected_summary(ROWS, SEED)
    assert len(list((folder / "out-people.csv").glob("part-*"))) == 2


def test_parquet_gives_the_same_rows(folder: Path, results: dict[str, str]) -> None:
    assert results["people.parquet"] == "ok"
    assert summary(folder / "parquet-as-csv") == expected_summary(ROWS, SEED)
    assert len(list((folder / "out-people.parquet").glob("part-*"))) == 3


def test_no_match_is_an_empty_result_and_no_failure(folder: Path, results: dict[str, str]) -> None:
    assert results["none.csv"] == "ok"
    assert summary(folder / "out-none.csv").rows == 0


def test_columns_in_another_order_are_read_by_name(folder: Path, results: dict[str, str]) -> None:
    assert results["other-order.csv"] == "ok"
    assert summary(folder / "out-other-order.csv").rows == 1


@pytest.mark.parametrize(
    ("case", "shown"),
    [
        ("no-age.csv", "SystemExit: the input has no column age: it needs name, age, job"),
        ("bad-age.csv", "MALFORMED_RECORD_IN_PARSING"),
        ("broken.csv", "MALFORMED_RECORD_IN_PARSING"),
        ("mixed", "CSV header does not conform to the schema"),
    ],
)
def test_bad_input_stops_the_job(results: dict[str, str], case: str, shown: str) -> None:
    assert shown in results[case]

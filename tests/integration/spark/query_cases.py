"""SimpleQuery on plain data, in one JVM: `spark-submit query_cases.py FOLDER QUERY`; prints results as JSON."""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

from pyspark.sql import SparkSession

QUERY = sys.argv[2]


def run(folder: Path, name: str, *more: str) -> str:
    """How the script ended: "ok", or its exception as text."""
    sys.argv = [QUERY, "--input", str(folder / name), "--output", str(folder / f"out-{name}"), *more]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(QUERY, run_name="__main__")
    except (Exception, SystemExit) as error:  # noqa: BLE001  # how each case fails is what is asked for
        return f"{type(error).__name__}: {error}"
    return "ok"


folder = Path(sys.argv[1])
spark = SparkSession.builder.getOrCreate()
people = spark.read.options(header=True, escape='"', inferSchema=True).csv(str(folder / "people.csv"))
people.write.parquet(str(folder / "people.parquet"))
csv_cases = ("people.csv", "none.csv", "no-age.csv", "bad-age.csv", "broken.csv", "other-order.csv", "mixed")
results = {name: run(folder, name) for name in csv_cases}
results["people.parquet"] = run(folder, "people.parquet", "--format", "parquet", "--partitions", "3")
spark = SparkSession.builder.getOrCreate()
found = spark.read.parquet(str(folder / "out-people.parquet"))
blanks = {"ignoreLeadingWhiteSpace": False, "ignoreTrailingWhiteSpace": False}
found.write.options(header=True, escape='"', **blanks).csv(str(folder / "parquet-as-csv"))
spark.stop()
print("RESULTS " + json.dumps(results))

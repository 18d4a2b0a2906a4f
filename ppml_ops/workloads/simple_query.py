"""SimpleQuery: count people, add a year, keep one job within an age range. Plain PySpark, no PPML Ops inside.

    spark-submit simple_query.py --input people.csv --output developers
    in a TEE:  --input sealed://sim-people/people --output sealed://sim-simple-query/developers

The three steps and their names are those of BigDL PPML's SimpleQuerySparkExample. Bad input stops the job: an
age that is no number, a missing column and a broken line are errors, never silently null.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col

COLUMNS = ("name", "age", "job")
# RFC 4180: quotes are doubled, a backslash is an ordinary character; blanks at the ends belong to the value.
CSV = {
    "header": "true",
    "encoding": "UTF-8",
    "escape": '"',
    "ignoreLeadingWhiteSpace": "false",
    "ignoreTrailingWhiteSpace": "false",
}


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Print how long a step took."""
    start = time.monotonic()
    yield
    print(f"{title}: {time.monotonic() - start:.2f} s", flush=True)


def load_inputs(spark: SparkSession, path: str, form: str) -> DataFrame:
    """Read people; the header (CSV) or schema (Parquet) must have the three columns."""
    found = spark.read.options(**CSV).csv(path) if form == "csv" else spark.read.parquet(path)
    missing = [column for column in COLUMNS if column not in found.columns]
    if missing:
        sys.exit(f"the input has no column {', '.join(missing)}: it needs {', '.join(COLUMNS)}")
    if form == "parquet":
        return found.select(col("name").cast("string"), col("age").cast("int"), col("job").cast("string"))
    # enforceSchema=false compares the header of every file, so columns in another order can't be mixed up.
    reader = spark.read.options(**CSV, mode="FAILFAST", enforceSchema="false")
    kept = [f"`{name}` {'INT' if name == 'age' else 'STRING'}" for name in found.columns]
    return reader.schema(", ".join(kept)).csv(path).select(*COLUMNS)


def do_sql_operations(people: DataFrame, min_age: int, max_age: int, job: str) -> DataFrame:
    """Count, show ages plus one, and return the rows of one job within the ages, both ends included."""
    print(f"people: {people.count()}", flush=True)
    people.select(col("name"), col("age") + 1).show(5)
    return people.where((col("job") == job) & col("age").between(min_age, max_age))


def save(result: DataFrame, path: str, form: str, partitions: int) -> None:
    """Write the result in `partitions` files, in the place of what an earlier run left there."""
    writer = result.repartition(partitions).write.mode("overwrite")
    if form == "csv":
        writer.options(**CSV).csv(path)
    else:
        writer.parquet(path)


def main(arguments: list[str] | None = None) -> None:
    """Run the three steps."""
    parser = argparse.ArgumentParser(description="Count people, add a year, keep one job within an age range.")
    parser.add_argument("--input", required=True, help="folder or file of people")
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--min-age", type=int, default=20)
    parser.add_argument("--max-age", type=int, default=40)
    parser.add_argument("--job", default="Developer")
    parser.add_argument("--partitions", type=int, default=2, help="number of output files")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="of input and output")
    options = parser.parse_args(arguments)
    spark = SparkSession.builder.appName("simple-query").getOrCreate()
    with timed("1/3 loadInputs"):
        people = load_inputs(spark, options.input, options.format)
    with timed("2/3 doSQLOperations"):
        result = do_sql_operations(people, options.min_age, options.max_age, options.job)
    with timed("3/3 save"):
        save(result, options.output, options.format, options.partitions)
    spark.stop()


if __name__ == "__main__":
    main()

"""The Spark application of the SimpleQuery benchmark: the product's query, again and again, as asked.

    spark-submit spark_child.py SOCKET

Over the Unix socket come dictionaries with the arguments of `query`; None ends it. Back go seconds per step.
"""

import sys
import time
from itertools import pairwise
from multiprocessing.connection import Listener
from typing import Any

from pyspark.sql import SparkSession

from ppml_ops.workloads.simple_query import do_sql_operations, load_inputs, save


def query(spark: SparkSession, source: str, target: str, form: str, partitions: int) -> list[float]:
    """SimpleQuery with its default ages and job; wall seconds of its three steps."""
    marks = [time.perf_counter()]
    people = load_inputs(spark, source, form)
    marks.append(time.perf_counter())
    result = do_sql_operations(people, 20, 40, "Developer")
    marks.append(time.perf_counter())
    save(result, target, form, partitions)
    marks.append(time.perf_counter())
    return [end - start for start, end in pairwise(marks)]


def main(path: str) -> None:
    """Serve one peer."""
    spark = SparkSession.builder.getOrCreate()
    with Listener(path, family="AF_UNIX") as listener, listener.accept() as peer:
        request: dict[str, Any] | None
        while (request := peer.recv()) is not None:
            peer.send(query(spark, **request))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])

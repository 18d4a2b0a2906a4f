"""Salaries by job, and the oldest person of each job. A plain PySpark program: it runs anywhere."""

import argparse

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as f


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("people", "salaries", "by-job", "oldest"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--min-age", type=int, default=0)
    options = parser.parse_args()
    spark = SparkSession.builder.appName("people statistics").getOrCreate()
    people = spark.read.csv(options.people, header=True, schema="name string, age int, job string")
    people = people.where(f.col("age") >= options.min_age)
    salaries = spark.read.csv(options.salaries, header=True, schema="name string, salary long")
    by_job = people.join(salaries, "name").groupBy("job")
    (
        by_job.agg(f.count("*").alias("people"), f.sum("salary").alias("salary"))
        .write.partitionBy("job")
        .csv(options.by_job, header=True)
    )
    oldest_first = Window.partitionBy("job").orderBy(f.desc("age"), "name")
    (
        people.withColumn("place", f.row_number().over(oldest_first))
        .where("place = 1")
        .select("job", "name", "age")
        .coalesce(1)
        .write.csv(options.oldest, header=True)
    )


if __name__ == "__main__":
    main()

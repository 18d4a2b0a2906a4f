"""Workloads: generators of test data, PySpark applications for plain spark-submit, and what to expect."""

from pathlib import Path


def path_of(name: str) -> Path:
    """Path of an application that ships with the package, e.g. `simple_query.py`."""
    return Path(__file__).with_name(name)

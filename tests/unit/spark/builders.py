"""Jobs and placements for tests; every part can be replaced."""

from typing import Any

from ppml_ops.spark.job import CodeBundle, JobDataset, SparkJob
from ppml_ops.spark.placement import Base, Binding, Placement

DIGEST = "0" * 64


def job(**changes: Any) -> SparkJob:
    fields: dict[str, Any] = {
        "name": "simple-query",
        "code": CodeBundle(main="simple_query.py", digest=DIGEST),
        "arguments": ("--input", "sealed://people/in", "--output", "sealed://result/out"),
        "datasets": (JobDataset(dataset="people", mode="read"), JobDataset(dataset="result", mode="write")),
    }
    return SparkJob(**(fields | changes))


def placement(**changes: Any) -> Placement:
    fields: dict[str, Any] = {
        "generation": "simple-query-20261120-0123456789ab-g1",
        "folder": "/state/runs/r/g1",
        "code": "/code/simple_query.py",
        "ticket": "/state/runs/r/ticket.jws",
        "broker_url": "https://127.0.0.1:8443",
        "broker_ca": "/state/broker/ca.pem",
        "bindings": (
            Binding(dataset="people", bases=(Base(node="node-a", uri="file:///nodes/a/people"),)),
            Binding(dataset="result", bases=(Base(node="node-a", uri="file:///nodes/a/result"),)),
        ),
        "versions": {"result": 2},
    }
    return Placement(**(fields | changes))

"""An installation whose runs use the cluster; see tests/support/cluster_world."""

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from ppml_ops.spark.k8s.refusals import Request
from ppml_ops.workloads import path_of
from tests.support import cluster as support
from tests.support.cluster_world import SimulatedNodes, World, running_world

_days = itertools.count()


@pytest.fixture(scope="session")
def world(
    cluster: support.Cluster,
    spark_image: str,
    simulated_nodes: SimulatedNodes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The installation; all of it is gone afterwards."""
    with running_world(cluster, spark_image, simulated_nodes, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def day() -> date:
    """A day that no other test has."""
    return date(2025, 1, 1) + timedelta(days=next(_days))


@pytest.fixture(params=["cluster", "client", "operator"])
def mode(request: pytest.FixtureRequest, world: World) -> str:
    """Each mode; skips that of the Spark operator where the cluster has none."""
    path = "/apis/sparkoperator.k8s.io/v1beta2"
    if request.param == "operator" and world.api.transport.call(Request("get", path), "GET", path) is None:
        pytest.skip("the cluster has no Spark operator")
    return str(request.param)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """SimpleQuery that takes its time in a task, so that there is something to break."""
    text = path_of("simple_query.py").read_text()
    code = tmp_path / "slow" / "simple_query.py"
    code.parent.mkdir()
    pause = """
from pyspark.sql import SparkSession as _Session
def _wait(_number):
    import time
    time.sleep(25)
    return 1
_context = _Session.builder.getOrCreate().sparkContext
assert _context.parallelize(range(2), 2).map(_wait).sum() == 2
"""
    future, line, rest = text.partition("\nif __name__")
    code.write_text(future + pause + line + rest)
    return code

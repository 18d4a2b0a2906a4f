"""An installation whose runs use the cluster; see tests/support/cluster_world."""

import itertools
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from ppml_ops.spark.k8s.refusals import Request
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

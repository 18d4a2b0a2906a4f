"""One cluster for all tests here, and a namespace for each module; see tests/support/cluster."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kubernetes.client.exceptions import ApiException

from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster as K8sCluster
from ppml_ops.spark.profiles import Profile
from tests.support.cluster import Cluster, NoClusterError, find_image, find_kubeconfig, has_harness
from tests.support.cluster_site import a_profile, new_name, set_up
from tests.support.cluster_world import SimulatedNodes, simulated_platform


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("cluster")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(1800))


def _missing(why: str) -> None:
    """Skip, or fail where a cluster is required."""
    if os.environ.get("PPML_OPS_REQUIRE_CLUSTER") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster."""
    try:
        return Cluster(find_kubeconfig())
    except NoClusterError as error:
        return _missing(str(error))


@pytest.fixture(scope="session")
def harness_cluster(cluster: Cluster) -> Cluster:
    """The cluster, when it is the harness's: tests that build images or lose nodes."""
    if not has_harness(cluster.kubeconfig):
        return _missing("needs the test harness's own cluster")
    return cluster


def _image(kind: str, cluster: Cluster) -> str:
    try:
        return find_image(kind, cluster.kubeconfig)
    except NoClusterError as error:
        return _missing(str(error))


@pytest.fixture(scope="session")
def spark_image(cluster: Cluster) -> str:
    """Image of driver, executors and node pods, of this checkout."""
    return _image("spark", cluster)


@pytest.fixture(scope="session")
def spark_s3_image(cluster: Cluster) -> str:
    """The same with Hadoop's client of S3 stores."""
    return _image("spark-s3", cluster)


@pytest.fixture(scope="session")
def sim_image(cluster: Cluster) -> str:
    """Image of the simulated TEE platform."""
    return _image("sim", cluster)


@pytest.fixture(scope="session")
def airflow_image(cluster: Cluster) -> str:
    """Image of Airflow with PPML Ops."""
    return _image("airflow", cluster)


@pytest.fixture(scope="module")
def make_namespace(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Makes namespaces, which go away after the module."""
    made: list[str] = []

    def make() -> str:
        made.append(f"ppml-t-{secrets.token_hex(4)}")
        cluster.make_namespace(made[-1])
        return made[-1]

    yield make
    for name in made:
        with suppress(ApiException):
            cluster.core.delete_namespace(name)


@pytest.fixture(scope="module")
def namespace(make_namespace: Callable[[], str]) -> str:
    """The module's namespace."""
    return make_namespace()


@pytest.fixture(scope="session")
def simulated_nodes(cluster: Cluster, sim_image: str) -> Iterator[SimulatedNodes]:
    """A simulated TEE platform on every node."""
    with simulated_platform(cluster, sim_image) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> K8sCluster:
    """The cluster as the product talks to it."""
    return K8sCluster(ClusterAccess(kubeconfig=Path(cluster.kubeconfig)))


@pytest.fixture(scope="module")
def profile(api: K8sCluster, spark_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """A profile without a TEE, for which the cluster is set up."""
    made = a_profile(new_name(), spark_image, tmp_path_factory.mktemp("volume"))
    with set_up(api, made):
        yield made

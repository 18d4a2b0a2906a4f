"""One cluster for all tests here, and a namespace for each module; see tests/support/cluster."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from kubernetes import utils
from kubernetes.client.exceptions import ApiException

from ppml_ops.canonical import b64e
from ppml_sim.pki import SEED_BYTES
from tests.support.cluster import ROOT, Cluster, NoClusterError, find_image, find_kubeconfig, has_harness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("cluster")
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


@dataclass(frozen=True)
class SimulatedNodes:
    """A simulated TEE platform on every node."""

    seed: bytes
    """For `sim/seed` of a broker's home, before its services start: then it trusts these nodes."""
    device_path: str
    """Folder on the nodes, with one folder for each: `device_path` of a profile's `kubernetes`."""

    def give_to(self, home: Path) -> None:
        """Make `home` one that trusts these nodes."""
        (home / "sim").mkdir(parents=True, mode=0o700)
        (home / "sim/seed").write_bytes(self.seed)
        (home / "sim/seed").chmod(0o600)


@pytest.fixture(scope="session")
def simulated_nodes(cluster: Cluster, sim_image: str) -> Iterator[SimulatedNodes]:
    """The DaemonSet of deploy/kubernetes, with a seed, a namespace and a folder on the nodes of its own."""
    name = f"ppml-sim-{secrets.token_hex(4)}"
    nodes = SimulatedNodes(secrets.token_bytes(SEED_BYTES), f"/run/{name}")
    text = (ROOT / "deploy/kubernetes/ppml-sim.yaml").read_text()
    documents = list(yaml.safe_load_all(text))
    documents[0]["metadata"]["name"] = documents[1]["metadata"]["namespace"] = name
    spec = documents[1]["spec"]["template"]["spec"]
    spec["containers"][0]["image"] = sim_image
    spec["volumes"][-1]["hostPath"]["path"] = nodes.device_path
    utils.create_from_dict(cluster.client, documents[0])
    try:
        cluster.core.create_namespaced_secret(
            name, {"metadata": {"name": "ppml-sim-seed"}, "data": {"seed": b64e(nodes.seed)}}
        )
        utils.create_from_dict(cluster.client, documents[1])
        cluster.ready_everywhere(name, "ppml-sim")
        yield nodes
    finally:
        cluster.core.delete_namespace(name)
        if has_harness(cluster.kubeconfig):  # its nodes are this host
            shutil.rmtree(nodes.device_path, ignore_errors=True)

"""An installation whose runs use the cluster: broker on this host, one namespace, a profile for each mode."""

import itertools
import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppml_ops.cli.services import ensure_services, stop_services
from ppml_ops.lifecycle.cluster_backends import own_address
from ppml_ops.spark.jvm.build import build_jar
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.refusals import Request
from ppml_ops.spark.profiles import Profile
from tests.cluster.conftest import SimulatedNodes
from tests.support import cluster as support
from tests.support.cluster_site import new_name, set_up
from tests.support.life_cycle import LifeCycle

SIZES = {
    "driver_cpu": "100m",
    "executor_cpu": "100m",
    "resources": {"driver_memory": "512m", "executor_memory": "512m", "cores": 1, "executors": 2},
}
_days = itertools.count()


class World:
    """The installation.

    Attributes:
        home: state folder with running services.
        api: the cluster as its administrator.
        namespace: of all runs here.
    """

    def __init__(
        self, home: Path, api: Cluster, namespace: str, image: str, volume: Path, device_path: str
    ) -> None:
        self.home, self.api, self.namespace = home, api, namespace
        self._platform = {
            "namespace": namespace,
            "image": image,
            "volume_path": str(volume),
            "device_path": device_path,
            "start_limit": 240,
        } | SIZES
        self.environment: dict[str, str] = {}

    def profile(self, name: str, **kubernetes: Any) -> Profile:
        """Write a profile that runs may name."""
        document = {
            "name": name,
            "title": "Test",
            "launcher": "kubernetes",
            "tee": "tdx",
            "device": "socket",
            "time_limit": 1200,
            "stop_grace": 5,
            "kubernetes": self._platform | kubernetes,
        }
        (self.home / "profiles").mkdir(exist_ok=True)
        (self.home / "profiles" / f"{name}.yaml").write_text(yaml.safe_dump(document))
        return Profile.model_validate(document)

    def run(self, profile: str, day: date, **params: Any) -> LifeCycle:
        """A run of SimpleQuery, stage by stage, without Airflow."""
        return LifeCycle(self.home, day, name=f"{profile}-{next(_days)}", profile=profile, **params)

    def left(self, run_key: str) -> list[str]:
        """What a run still has in the cluster, and must not after its end."""
        labels = {"ppml-ops.io/run": run_key}
        return [
            f"{kind} {one['metadata']['name']}"
            for kind in ("Pod", "ConfigMap", "SparkApplication", "Service", "Secret")
            for one in self.api.find(kind, self.namespace, labels)
            if not one["metadata"].get("deletionTimestamp")
        ]


@pytest.fixture(scope="session")
def world(
    cluster: support.Cluster,
    spark_image: str,
    simulated_nodes: SimulatedNodes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The installation; all of it is gone afterwards."""
    home = tmp_path_factory.mktemp("ppml")
    home.chmod(0o700)
    simulated_nodes.give_to(home)
    build_jar()
    api = Cluster(ClusterAccess(kubeconfig=Path(cluster.kubeconfig)))
    volume = tmp_path_factory.mktemp("volume") / "nodes"
    made = World(home, api, new_name(), spark_image, volume, simulated_nodes.device_path)
    profile = made.profile("k-cluster")
    made.profile("k-client", mode="client")
    made.profile("k-operator", mode="operator")
    changed = {
        "KUBECONFIG": cluster.kubeconfig,
        "PPML_OPS_BROKER_HOST": own_address(api.transport.host),
        "PPML_OPS_HOME": str(home),
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        with set_up(api, profile):
            ensure_services(home)
            yield made
    finally:
        stop_services(home)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


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

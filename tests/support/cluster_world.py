"""An installation whose runs use the cluster: broker on this host, a simulated TEE platform on each node, one
namespace, a profile for each mode."""

import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from kubernetes import utils

from ppml_ops.canonical import b64e
from ppml_ops.cli.services import ensure_services, stop_services
from ppml_ops.lifecycle.cluster_backends import own_address
from ppml_ops.spark.jvm.build import build_jar
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.profiles import Profile
from ppml_sim.pki import SEED_BYTES
from tests.support import cluster as support
from tests.support.cluster_site import new_name, set_up
from tests.support.life_cycle import LifeCycle

SIZES = {
    "driver_cpu": "100m",
    "executor_cpu": "100m",
    "resources": {"driver_memory": "512m", "executor_memory": "512m", "cores": 1, "executors": 2},
}
_numbers = itertools.count()


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
        return LifeCycle(self.home, day, name=f"{profile}-{next(_numbers)}", profile=profile, **params)

    def left(self, run_key: str) -> list[str]:
        """What a run still has in the cluster, and must not after its end."""
        labels = {"ppml-ops.io/run": run_key}
        return [
            f"{kind} {one['metadata']['name']}"
            for kind in ("Pod", "ConfigMap", "SparkApplication", "Service", "Secret")
            for one in self.api.find(kind, self.namespace, labels)
            if not one["metadata"].get("deletionTimestamp")
        ]


@contextmanager
def simulated_platform(cluster: support.Cluster, image: str) -> Iterator[SimulatedNodes]:
    """The DaemonSet of deploy/kubernetes, with a seed, a namespace and a folder on the nodes of its own."""
    name = f"ppml-sim-{secrets.token_hex(4)}"
    nodes = SimulatedNodes(secrets.token_bytes(SEED_BYTES), f"/run/{name}")
    text = (support.ROOT / "deploy/kubernetes/ppml-sim.yaml").read_text()
    documents = list(yaml.safe_load_all(text))
    documents[0]["metadata"]["name"] = documents[1]["metadata"]["namespace"] = name
    spec = documents[1]["spec"]["template"]["spec"]
    spec["containers"][0]["image"] = image
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
        if support.has_harness(cluster.kubeconfig):  # its nodes are this host
            shutil.rmtree(nodes.device_path, ignore_errors=True)


@contextmanager
def running_world(
    cluster: support.Cluster, image: str, simulated: SimulatedNodes, folder: Path
) -> Iterator[World]:
    """The installation, in the empty `folder`; environment and cluster are as before afterwards."""
    home, volume = folder / "ppml", folder / "volume"
    home.mkdir(mode=0o700)
    simulated.give_to(home)
    build_jar()
    api = Cluster(ClusterAccess(kubeconfig=Path(cluster.kubeconfig)))
    made = World(home, api, new_name(), image, volume, simulated.device_path)
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

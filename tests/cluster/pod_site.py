"""A small installation whose jobs run in pods: broker on this host, node folders on the nodes, made by hand."""

import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes import client, utils
from kubernetes.client.exceptions import ApiException

from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.k8s.bundle import config_maps, pack
from ppml_ops.spark.k8s.names import ROLE, driver_name, selector
from ppml_ops.spark.k8s.objects import DRIVER_RULES
from ppml_ops.spark.k8s.plan import (
    AGENT,
    BROKER_CA,
    DEVICE_FOLDER,
    GENERATION_FOLDER,
    JOB,
    NODE_FOLDER,
    PODS,
    PROFILE,
    THIS_NODE,
    TICKET,
    PodPlan,
)
from ppml_ops.spark.k8s.pods import UID, driver_pod
from ppml_ops.spark.launcher import LocalLauncher
from ppml_ops.spark.placement import (
    AgentConfig,
    Base,
    Binding,
    Device,
    NoDevice,
    Placement,
    PlatformDevice,
)
from ppml_ops.spark.profiles import Profile
from ppml_ops.spark.running import Running
from ppml_ops.spark.sealedlog import LOG_FOLDER, log_pieces
from tests.integration.spark.installation import PURPOSE, Site, running_site
from tests.support.cluster import Cluster

ACCOUNT = "ppml-driver"
NO_TEE = {"tee": ["none"], "purpose": [PURPOSE], "simulated": True, "ticket": {"required": True}}


@dataclass
class PodSite(Site):
    """The installation; `nodes` are the cluster's, `root` the folder on this host that all of them see."""

    api: client.CoreV1Api = field(kw_only=True)
    namespace: str = ""
    image: str = ""
    nodes: tuple[str, ...] = ()
    root: Path = Path()
    device_path: str | None = None
    host: str = ""
    said: list[str] = field(default_factory=list)

    def policy(self, dataset: str) -> str:
        if self.device_path is not None:
            return super().policy(dataset)
        return yaml.safe_dump({"dataset": dataset, "release": [NO_TEE]})

    def profile(self, **platform: Any) -> Profile:
        """A profile for two small executors in this namespace; the fields of `kubernetes` can be changed."""
        resources = {"driver_memory": "512m", "cores": 1, "executor_memory": "512m", "executors": 2}
        device = self.device_path is not None
        return Profile.model_validate(
            {
                "name": "pods", "title": "tests", "launcher": "kubernetes", "time_limit": 600, "stop_grace": 10,
                "tee": "tdx" if device else "none", "device": "socket" if device else "none",
                "kubernetes": {
                    "namespace": self.namespace, "image": self.image, "resources": resources,
                    "driver_cpu": "100m", "executor_cpu": "100m",
                    **({"device_path": self.device_path} if device else {}),
                } | platform,
            }
        )  # fmt: skip

    def on_node(self, node: str, run_key: str, *path: str) -> Path:
        """A folder of a run on a node."""
        return self.root / node / run_key / Path(*path)

    def place(self, run_key: str, dataset: str, source: Path, table: str) -> None:
        """Seal `source`, when the data set is not there yet, and put a whole copy of it on every node."""
        whole = self.home / "whole" / dataset
        if not whole.exists():
            self.seal(dataset, source, table)
            for node in ("node-a", "node-b"):
                shutil.copytree(self.node(node, dataset).local(""), whole, dirs_exist_ok=True)
        for node in self.nodes:
            shutil.copytree(whole, self.on_node(node, run_key, "in", dataset))

    def start(
        self,
        job: SparkJob,
        code: Path,
        profile: Profile,
        generation: str,
        *,
        activations: int = 8,
        changes: dict[str, bytes] | None = None,
    ) -> PodPlan:
        """Make ConfigMaps and the driver's pod by hand; `changes` replace files of the first ConfigMap."""
        placed = self.placement(job, code, generation, activations=activations)
        plan = self._hand_over(job, code, profile, placed, changes or {})
        self.api.create_namespaced_pod(self.namespace, driver_pod(plan, profile))
        return plan

    def start_here(
        self, job: SparkJob, code: Path, profile: Profile, generation: str
    ) -> tuple[PodPlan, Running]:
        """The same with the driver as a process tree on this host."""
        placed = self.placement(job, code, generation)
        write = job.written[0]
        own = [Base(node="worker", uri=self.node("worker", write, generation).uri)]
        whole = [Base(node="worker", uri=(self.home / "whole" / "people").as_uri())]
        bindings = (
            Binding(dataset="people", bases=tuple(whole)),
            Binding(dataset=write, bases=tuple(own), spread=True),
        )
        plan = self._hand_over(job, code, profile, placed, {}, driver_address=self.host)
        (Path(placed.folder) / PODS).write_bytes(plan.encode())
        launcher = LocalLauncher(profile, on_line=self.said.append)
        return plan, launcher.launch(job, placed.model_copy(update={"bindings": bindings}))

    def _hand_over(
        self,
        job: SparkJob,
        code: Path,
        profile: Profile,
        placed: Placement,
        changes: dict[str, bytes],
        driver_address: str | None = None,
    ) -> PodPlan:
        """Folders on the nodes, and the ConfigMaps."""
        generation = placed.generation
        run_key, _, number = generation.rpartition("-g")
        write = job.written[0]
        bindings = [
            self._binding(item.dataset, f"in/{item.dataset}")
            for item in job.datasets if item.mode == "read"
        ]  # fmt: skip
        bindings.append(self._binding(write, f"g{number}/{write}", spread=True))
        for node in self.nodes:
            self.on_node(node, run_key, f"g{number}", write).mkdir(parents=True)
            _give_away(self.root / node)
        pieces = pack(code)
        plan = PodPlan(
            run_key=run_key,
            generation=generation,
            code_pieces=len(pieces),
            nodes=self.nodes,
            driver_address=driver_address,
        )
        agent = AgentConfig(
            broker_url=placed.broker_url,
            broker_ca=f"{GENERATION_FOLDER}/{BROKER_CA}",
            ticket=f"{GENERATION_FOLDER}/{TICKET}",
            job=f"{GENERATION_FOLDER}/{JOB}",
            code="/ppml/work/g/code",
            device=self._device(),
            tee=profile.tee,
            generation=generation,
            bindings=tuple(bindings),
        )
        files = {
            AGENT: agent.encode(),
            JOB: job.canonical(),
            PROFILE: profile.model_dump_json().encode(),
            PODS: plan.encode(),
            TICKET: Path(placed.ticket).read_bytes(),
            BROKER_CA: Path(placed.broker_ca).read_bytes(),
        } | changes
        for document in config_maps(plan, self.namespace, files, pieces):
            self.api.create_namespaced_config_map(self.namespace, document)
        return plan

    def _device(self) -> Device:
        return NoDevice() if self.device_path is None else PlatformDevice(path=f"{DEVICE_FOLDER}/platform.sock")

    def _binding(self, dataset: str, folder: str, *, spread: bool = False) -> Binding:
        base = Base(node=THIS_NODE, uri=f"file://{NODE_FOLDER}/{folder}")
        return Binding(dataset=dataset, bases=(base,), spread=spread)

    def ended(self, plan: PodPlan, seconds: float = 900) -> "Ended":
        """The driver's end."""
        name = driver_name(plan.generation)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pod = self.api.read_namespaced_pod(name, self.namespace)
            if pod.status.container_statuses and (state := pod.status.container_statuses[0].state.terminated):
                return Ended(state.exit_code, json.loads(state.message or "{}"), self.lines(name))
            time.sleep(1)
        raise TimeoutError(f"{name} still runs: {self.lines(name)}")

    def lines(self, pod: str) -> list[str]:
        """What a pod has printed."""
        try:
            reply = self.api.read_namespaced_pod_log(pod, self.namespace, _preload_content=False)
            return bytes(reply.data).decode().splitlines()
        except ApiException as error:
            return [f"no log: {error.reason}"]

    def executors(self, plan: PodPlan) -> list[Any]:
        """Pods of executors, in the order of their numbers."""
        wanted = selector(plan.labels | {ROLE: "executor"})
        pods = self.api.list_namespaced_pod(self.namespace, label_selector=wanted).items
        return sorted(pods, key=lambda pod: int(pod.metadata.name.rpartition("-")[2]))

    def parts(
        self, plan: PodPlan, dataset: str, driver: Folder | None = None
    ) -> tuple[Manifest, dict[str, set[str]]]:
        """The one manifest that was published, on a node or with the driver; visible files of each node."""
        run_key, _, number = plan.generation.rpartition("-g")
        manifests, files = [DatasetStore(driver).read(1)] if driver else [], {}
        for node in self.nodes:
            folder = Folder(self.on_node(node, run_key, f"g{number}", dataset))
            store = DatasetStore(folder)
            if store.latest() is not None:
                manifests.append(store.read(1))
            files[node] = {
                path for path in folder.files() if not any(piece[:1] in "._" for piece in path.split("/"))
            }
        (manifest,) = manifests
        manifest.check(self.keys[dataset])
        return manifest, files

    def text(self, plan: PodPlan, dataset: str, node: str, path: str) -> bytes:
        """A sealed file of a node, opened."""
        run_key, _, number = plan.generation.rpartition("-g")
        with self.on_node(node, run_key, f"g{number}", dataset, path).open("rb") as file:
            return SealedReader(file, self.keys[dataset], dataset.encode()).readall()

    def logs(self, plan: PodPlan, dataset: str) -> dict[str, str]:
        """The sealed log of each process, opened, by the name of its first file."""
        run_key, _, number = plan.generation.rpartition("-g")
        found = {}
        for node in self.nodes:
            folder = Folder(self.on_node(node, run_key, f"g{number}", dataset))
            for names in log_pieces(folder.names(LOG_FOLDER), plan.generation):
                found[names[0]] = b"".join(
                    self.text(plan, dataset, node, f"{LOG_FOLDER}/{name}") for name in names
                ).decode()
        return found


@dataclass(frozen=True)
class Ended:
    """How a driver's pod ended."""

    exit_code: int
    message: dict[str, Any]
    lines: list[str]


def _give_away(folder: Path) -> None:
    """To the user of the pods."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID)


def _own_address(api: client.ApiClient) -> str:
    """Of this host, as the cluster's machines see it."""
    server = urlsplit(api.configuration.host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((server.hostname, server.port or 443))
        return str(probe.getsockname()[0])


def make_account_and_volume(api: client.ApiClient, namespace: str, root: Path) -> None:
    """What a cluster's administrator makes once: account, rights, volume of the node folders."""
    volume = f"{namespace}-nodes"
    documents: list[dict[str, Any]] = [
        {"kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
        {"kind": "Role", "metadata": {"name": ACCOUNT}, "rules": [rule.document() for rule in DRIVER_RULES]},
        {
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        },
        {
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "1Gi"},
                "storageClassName": "",
                "hostPath": {"path": str(root)},
                "claimRef": {"namespace": namespace, "name": "ppml-nodes"},
            },
        },
        {
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "ppml-nodes"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "volumeName": volume,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    ]
    for document in documents:
        group = "rbac.authorization.k8s.io/v1" if document["kind"].startswith("Role") else "v1"
        options = {} if document["kind"] == "PersistentVolume" else {"namespace": namespace}
        utils.create_from_dict(api, {"apiVersion": group} | document, **options)


@contextmanager
def running_pod_site(
    home: Path, root: Path, namespace: str, image: str, cluster: Cluster, device_path: str | None = None
) -> Iterator[PodSite]:
    """Broker on this host, account and volume in the namespace; `root` becomes the folder of the nodes."""
    api = cluster.core
    nodes = tuple(sorted(node.metadata.name for node in api.list_node().items))
    root.mkdir(mode=0o755)
    make_account_and_volume(cluster.client, namespace, root)
    try:
        host = _own_address(cluster.client)
        with running_site(home, host) as site:
            yield PodSite(
                site.home, api=api, namespace=namespace, image=image, nodes=nodes, root=root,
                device_path=device_path, host=host,
            )  # fmt: skip
    finally:
        api.delete_persistent_volume(f"{namespace}-nodes")
        shutil.rmtree(root, ignore_errors=True)


def new_generation(title: str) -> str:
    """A name as runs have them."""
    return f"{title}-20261120-{uuid.uuid4().hex[:12]}-g1"

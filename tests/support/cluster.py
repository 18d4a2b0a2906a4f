"""A real Kubernetes cluster for tests: where it is, images for it, pods in it.

The cluster is that of KUBECONFIG; without it one of the harness `../shared/tools/kubebox` beside the checkout,
which builds and loads images too. Elsewhere PPML_OPS_TEST_<KIND>_IMAGE names an image that the nodes can pull.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config, stream
from kubernetes.client.exceptions import ApiException

ROOT = Path(__file__).parents[2]
HARNESS = ROOT.parent / "shared/tools/kubebox/kubebox"
START_SECONDS = 180
_UID = 185


class NoClusterError(Exception):
    """There is no cluster here, or it can't have an image; says why."""


def harness(*arguments: str, **options: Any) -> str:
    """Run the harness; returns what it prints."""
    command = [sys.executable, str(HARNESS), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout.strip()


def find_kubeconfig() -> str:
    """Path of the kubeconfig of a running cluster.

    Raises:
        NoClusterError: KUBECONFIG is not set, and the harness is not there or can't run here.
    """
    if given := os.environ.get("KUBECONFIG"):
        return given
    if not HARNESS.is_file() or os.geteuid() != 0:
        raise NoClusterError("no KUBECONFIG, and no harness beside the checkout that this user may run")
    return harness("up", timeout=900)


def has_harness(kubeconfig: str) -> bool:
    """Whether the cluster is the harness's own."""
    return HARNESS.is_file() and os.geteuid() == 0 and harness("kubeconfig", timeout=60) == kubeconfig


def find_image(kind: str, kubeconfig: str) -> str:
    """Name of an image (`spark`, `spark-s3`, `sim`, `airflow`) of this checkout that the nodes have or pull.

    Raises:
        NoClusterError: none is named, and it can't be built for this cluster.
    """
    variable = f"PPML_OPS_TEST_{kind.upper().replace('-', '_')}_IMAGE"
    if given := os.environ.get(variable):
        return given
    if not has_harness(kubeconfig):
        raise NoClusterError(f"set {variable} to an image that the cluster can pull")
    if kind == "spark-s3":
        _need_maven()
    name = f"ppml-ops-{kind}:t-{_context_digest(kind)}"
    build_image(kind, name)
    harness("load", name, timeout=600)
    return name


def _need_maven() -> None:
    """As the harness does with what it lacks: from Debian's packages."""
    if shutil.which("mvn"):
        return
    if not shutil.which("apt-get"):
        raise NoClusterError("the image spark-s3 needs Maven")
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "maven"]):
        subprocess.run(["apt-get", *command], check=True, stdout=subprocess.DEVNULL, timeout=600)


def build_image(kind: str, name: str, *options: str) -> None:
    """Build with the harness, as a user would with Docker."""
    builder = " ".join([sys.executable, str(HARNESS), "build-image", *options])
    subprocess.run(
        [ROOT / "deploy/images/build", kind, "-t", name],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=1500,
        env=dict(os.environ, PPML_OPS_BUILDER=builder, PPML_OPS_PYTHON=sys.executable),
    )


def make_context(kind: str, folder: Path) -> None:
    """The build context of an image."""
    command = [sys.executable, ROOT / "deploy/images/context.py", kind, folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)


def folder_list(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Digest, mode and time of each file."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _context_digest(kind: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        make_context(kind, Path(folder))
        return hashlib.sha256(repr(folder_list(Path(folder))).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ran:
    """How a command in a pod ended."""

    code: int
    out: str
    err: str


class Cluster:
    """The API of the cluster, as its administrator."""

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = kubeconfig
        self.client = config.new_client_from_config(kubeconfig)
        self.core = client.CoreV1Api(self.client)
        self.apps = client.AppsV1Api(self.client)

    def nodes(self) -> list[str]:
        """Names of all nodes."""
        return sorted(node.metadata.name for node in self.core.list_node().items)

    def make_namespace(self, name: str) -> None:
        """A namespace that takes pods: its service account is there."""
        self.core.create_namespace({"metadata": {"name": name, "labels": {"ppml-ops.io/test": "true"}}})
        self._until(lambda: self.core.list_namespaced_service_account(name).items, f"namespace {name}")

    def run(self, namespace: str, pod: dict[str, Any]) -> None:
        """Make a pod, and wait until it runs or has ended."""
        self.core.create_namespaced_pod(namespace, pod)
        name = pod["metadata"]["name"]
        self._until(lambda: self.phase(namespace, name) != "Pending", f"pod {name}")

    def phase(self, namespace: str, name: str) -> str:
        """A pod's phase."""
        return str(self.core.read_namespaced_pod(name, namespace).status.phase)

    def log_line(self, namespace: str, name: str) -> str:
        """The first whole line that a pod writes."""
        lines: list[str] = []

        def said() -> bool:
            # Unparsed: the client would make a Python object of a line of JSON.
            answer = self.core.read_namespaced_pod_log(name, namespace, _preload_content=False)
            text = answer.data.decode()
            assert text.endswith("\n") or self.phase(namespace, name) != "Failed", text
            lines[:] = text.splitlines() if text.endswith("\n") else []
            return bool(lines)

        self._until(said, f"a line of {name}")
        return lines[0]

    def exec(self, namespace: str, name: str, *command: str) -> Ran:
        """Run a command in a pod."""
        stub = stream.stream(
            self.core.connect_get_namespaced_pod_exec,
            name,
            namespace,
            command=list(command),
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        stub.run_forever(timeout=300)
        ran = Ran(stub.returncode, stub.read_stdout() or "", stub.read_stderr() or "")
        stub.close()
        return ran

    def ready_everywhere(self, namespace: str, daemon_set: str) -> None:
        """Wait until each node has its ready pod."""

        def ready() -> bool:
            status = self.apps.read_namespaced_daemon_set_status(daemon_set, namespace).status
            return bool(status.number_ready) and status.number_ready == status.desired_number_scheduled

        self._until(ready, f"DaemonSet {daemon_set}")

    def _until(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if done():
                    return
            except ApiException as error:
                if error.status not in (400, 404, 429, 503):
                    raise
            time.sleep(0.3)
        raise AssertionError(f"{what} is not ready after {START_SECONDS} s")


def restricted_pod(name: str, image: str, command: list[str], **spec: Any) -> dict[str, Any]:
    """A pod with as few rights as a job's pods have: no root, read-only root file system, /tmp in memory."""
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _UID,
                "runAsGroup": _UID,
                "fsGroup": _UID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "test",
                    "image": image,
                    "command": command,
                    "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}}],
            **spec,
        },
    }

"""A cluster made ready by set-up for one test module, and a proxy that cuts the way to it."""

import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.setup import plan, teardown
from ppml_ops.spark.profiles import Profile
from tests.support.cluster import restricted_pod


def a_profile(namespace: str, image: str, folder: Path, **kubernetes: Any) -> Profile:
    """A profile without a TEE; node folders lie below `folder` on every node."""
    device = kubernetes.pop("device", "none")
    return Profile.model_validate(
        {
            "name": "test",
            "title": "Test",
            "launcher": "kubernetes",
            "tee": "none" if device == "none" else "tdx",
            "device": device,
            "kubernetes": {
                "namespace": namespace,
                "image": image,
                "volume_path": str(folder / "nodes"),
                "start_limit": 120,
            }
            | kubernetes,
        }
    )


def new_name() -> str:
    """A namespace that nobody else has."""
    return f"ppml-t-{secrets.token_hex(4)}"


@contextmanager
def set_up(cluster: Cluster, profile: Profile) -> Iterator[None]:
    """Set up for the profile; all of it is gone afterwards."""
    try:
        for step in plan(cluster, profile):
            step.apply()
        yield
    finally:
        for kind in ("Pod", "ConfigMap"):
            for one in cluster.find(kind, profile.platform.namespace):
                cluster.delete(kind, profile.platform.namespace, one["metadata"]["name"], grace=0)
        list(teardown(cluster, profile, data=True))
        cluster.delete("Namespace", None, profile.platform.namespace)
        shutil.rmtree(profile.platform.volume_path, ignore_errors=True)


def account_access(cluster: Cluster, namespace: str, account: str, folder: Path) -> ClusterAccess:
    """The way in as a service account, by a token as `kubectl create token` gives it."""
    from kubernetes import client

    body = {"spec": {"expirationSeconds": 3600}}
    api = client.CoreV1Api(cluster.transport._client)
    token = api.create_namespaced_service_account_token(account, namespace, body).status.token
    return _kubeconfig(cluster, folder, {"token": token}, {})


def _kubeconfig(cluster: Cluster, folder: Path, user: dict[str, Any], entry: dict[str, Any]) -> ClusterAccess:
    setting = cluster.transport.configuration
    there = {"server": cluster.transport.host, "certificate-authority": setting.ssl_ca_cert} | entry
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": there}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / f"{secrets.token_hex(4)}.kubeconfig"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        yaml.safe_dump(document, file)
    return ClusterAccess(kubeconfig=path)


def plain_pod(namespace: str, name: str, image: str, command: list[str]) -> dict[str, Any]:
    """A pod that runs this, with as few rights as a job's."""
    made = restricted_pod(name, image, command)
    made["metadata"]["namespace"] = namespace
    return {"apiVersion": "v1", "kind": "Pod"} | made


def wait_until(done: Callable[[], object]) -> None:
    """Wait until it says so; a test's own limit ends it."""
    while not done():
        time.sleep(0.2)


class Proxy:
    """The API server by another way, which can be cut: all connections end, and new ones are refused."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        url = urlsplit(cluster.transport.host)
        self._target = (str(url.hostname), url.port or 443)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.is_cut = False
        self.connections = 0
        port = self._server.getsockname()[1]
        setting = cluster.transport.configuration
        user = {"client-certificate": setting.cert_file, "client-key": setting.key_file}
        entry = {"server": f"https://127.0.0.1:{port}", "tls-server-name": self._target[0]}
        self.access = _kubeconfig(cluster, folder, user, entry)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on nobody gets through."""
        self.is_cut = True
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        """As before."""
        self.is_cut = False

    def close(self) -> None:
        """End it."""
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                if self.is_cut:
                    here.close()
                    continue
                self.connections += 1
                there = socket.create_connection(self._target)
                self._open += [here, there]
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

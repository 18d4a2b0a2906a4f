"""One pod on each node makes (or removes) the node's folder, and so shows that the image can be had there."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.nodes import usable
from ppml_ops.spark.k8s.objects import LABELS, prepare_pod, setup_namespace
from ppml_ops.spark.k8s.podlogs import read_log
from ppml_ops.spark.k8s.refusals import shown
from ppml_ops.spark.k8s.trouble import is_over, never_starts, trouble
from ppml_ops.spark.k8s.waiting import GONE_SECONDS, PAUSE_SECONDS, gone, wait_for
from ppml_ops.spark.profiles import Profile


def prepare_nodes(cluster: Cluster, profile: Profile, *, remove: bool = False) -> str:
    """Make (or remove) the folder of each usable node by a pod there; that its image runs is shown by it."""
    platform, nodes = profile.platform, nodes_of(cluster, profile)
    if not nodes:
        raise TransientError(
            "no node of the cluster takes pods of this profile",
            next_step="look at `ppml-ops doctor cluster`, which says why",
        )
    said, images, own = [], set(), own_claim(cluster, profile)
    with nullcontext() if own else _setup_space(cluster, profile):
        pods = {}
        for node in nodes[:1] if platform.shared else nodes:
            name = f"prepare-{hashlib.sha256(node.encode()).hexdigest()[:8]}"
            wanted = prepare_pod(platform, node, name, remove=remove, own_claim=own)
            gone(cluster, wanted)
            pods[node] = cluster.create(wanted)
        for node, pod in pods.items():
            outcome, image = _outcome(cluster, pod, platform.start_limit)
            said.append(f"{node}: {outcome}")
            images.add(image)
            gone(cluster, pod)
    if len(images) > 1:
        said.append(f"the nodes have different images called {platform.image}: {', '.join(sorted(images))}")
    return "; ".join(said)


def own_claim(cluster: Cluster, profile: Profile) -> bool:
    """Whether the claim is one that set-up did not make: from a storage class, on NFS, of another tool."""
    platform = profile.platform
    live = cluster.get("PersistentVolumeClaim", platform.namespace, platform.volume_claim)
    return live is not None and not LABELS.items() <= live["metadata"].get("labels", {}).items()


def nodes_of(cluster: Cluster, profile: Profile) -> list[str]:
    """Names of the nodes that take the profile's pods now."""
    return usable(cluster.find("Node"), profile.platform)


@contextmanager
def _setup_space(cluster: Cluster, profile: Profile) -> Iterator[None]:
    """The namespace for pods that run as root; it is removed again."""
    platform = profile.platform
    space = setup_namespace(platform)
    wait_for(lambda: not _is_ending(cluster.get("Namespace", None, space["metadata"]["name"])), GONE_SECONDS)
    cluster.apply(space)
    for name in platform.image_pull_secrets:
        secret = cluster.get("Secret", platform.namespace, name)
        if secret is None:
            raise ConfigError(
                f"the pull secret {name} is not in namespace {platform.namespace}",
                next_step="make it (kubectl create secret docker-registry …)",
            )
        meta = {"name": name, "namespace": space["metadata"]["name"]}
        cluster.apply({key: secret[key] for key in ("apiVersion", "kind", "type", "data")} | {"metadata": meta})
    try:
        yield
    finally:
        cluster.delete("Namespace", None, space["metadata"]["name"])


def _outcome(cluster: Cluster, pod: Object, limit: float) -> tuple[str, str]:
    """What a preparing pod said, and the id of its image. Raises the true reason when it did not succeed."""
    meta, began = pod["metadata"], time.monotonic()
    while not is_over(pod):
        waited = time.monotonic() - began
        if waited > limit or never_starts(pod, waited):
            raise trouble(pod, cluster.events(meta["namespace"], meta["uid"]), waited)
        time.sleep(PAUSE_SECONDS)
        pod = cluster.get("Pod", meta["namespace"], meta["name"]) or pod
    lines = [line.text for line in read_log(cluster, meta["namespace"], meta["name"], "prepare")]
    last = shown(lines[-1], 200) if lines else ""
    if pod["status"].get("phase") != "Succeeded":
        raise ConfigError(
            f"the folder on node {pod['spec']['nodeName']} can't be prepared: {last}",
            next_step="look at that path on the node",
        )
    word, _, free = last.partition(" ")
    image = str(pod["status"]["containerStatuses"][0].get("imageID", "")).rpartition("@")[2]
    return f"{word}, {int(free) >> 30} GiB free" if free.isdigit() else word, image


def _is_ending(obj: Object | None) -> bool:
    return obj is not None and bool(obj["metadata"].get("deletionTimestamp"))

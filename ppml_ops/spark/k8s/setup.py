"""Setting a cluster up for a profile, and taking that away again: idempotent steps, each with a dry run.

Whoever runs them needs an administrator's rights; runs need only those of the account `ppml-submitter`.
"""

import difflib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import yaml

from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object, named
from ppml_ops.spark.k8s.nodes import usable
from ppml_ops.spark.k8s.objects import accounts, namespace, prepare_pod, setup_namespace, volume
from ppml_ops.spark.k8s.podlogs import read_log
from ppml_ops.spark.k8s.refusals import shown
from ppml_ops.spark.k8s.trouble import final_trouble, is_over, trouble
from ppml_ops.spark.profiles import Profile

#: Names of the steps, in their order.
STEPS = ("namespace", "accounts", "volume", "nodes", "bound")
_PAUSE_SECONDS = 0.5
_BOUND_SECONDS = 60.0
_GONE_SECONDS = 120.0
_SERVERS = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")


class Step(NamedTuple):
    """One step of set-up.

    `diff` says what would change (nothing: empty text), `apply` does it and says what it did.
    """

    name: str
    title: str
    diff: Callable[[], str]
    apply: Callable[[], str]


def plan(cluster: Cluster, profile: Profile) -> list[Step]:
    """The steps for a profile, in their order.

    Raises:
        ConfigError, TransientError: from the steps, see `refusals` and `trouble`.
    """
    platform = profile.platform
    space = namespace(profile, cluster.get("Namespace", None, platform.namespace))
    documents = {
        "namespace": ("Namespace with its Pod Security level", [space]),
        "accounts": ("Service accounts and their rights", accounts(platform)),
        "volume": ("Volume and claim of the node folders", volume(platform)),
    }
    steps = [_documents_step(cluster, name, title, wanted) for name, (title, wanted) in documents.items()]
    return [
        *steps,
        Step(
            "nodes",
            "Folder and image on each node",
            lambda: "\n".join(
                f"  prepare {platform.volume_path} on {node}" for node in _nodes(cluster, profile)
            ),
            lambda: prepare_nodes(cluster, profile),
        ),
        Step("bound", "The claim is bound", lambda: "", lambda: _wait_bound(cluster, profile)),
    ]


def prepare_nodes(cluster: Cluster, profile: Profile, *, remove: bool = False) -> str:
    """Make (or remove) the folder of each usable node by a pod there; that its image runs is shown by it."""
    platform, nodes = profile.platform, _nodes(cluster, profile)
    if not nodes:
        raise TransientError(
            "no node of the cluster takes pods of this profile",
            next_step="look at `ppml-ops doctor cluster`, which says why",
        )
    said, images = [], set()
    with _setup_space(cluster, profile):
        pods = {}
        for node in nodes if platform.topology != "shared" else nodes[:1]:
            name = f"prepare-{hashlib.sha256(node.encode()).hexdigest()[:8]}"
            _gone(cluster, prepare_pod(platform, node, name))
            pods[node] = cluster.create(prepare_pod(platform, node, name, remove=remove))
        for node, pod in pods.items():
            outcome, image = _outcome(cluster, pod, platform.start_limit)
            said.append(f"{node}: {outcome}")
            images.add(image)
    if len(images) > 1:
        said.append(f"the nodes have different images called {platform.image}: {', '.join(sorted(images))}")
    return "; ".join(said)


def teardown(cluster: Cluster, profile: Profile, *, data: bool = False) -> Iterator[str]:
    """Remove what set-up made; says what, one line each. Node folders only with `data`.

    Raises:
        ConfigError: a driver runs in the namespace.
    """
    platform = profile.platform
    busy = cluster.find("Pod", platform.namespace, {"ppml-ops.io/role": "driver"})
    if living := [pod["metadata"]["name"] for pod in busy if not is_over(pod)]:
        raise ConfigError(
            f"{living[0]} is running in namespace {platform.namespace}", next_step="wait for it, or end its run"
        )
    if data:
        yield f"node folders: {prepare_nodes(cluster, profile, remove=True)}"
    for obj in [*reversed(volume(platform)), *reversed(accounts(platform))]:
        yield _removed(cluster, obj)
    space = namespace(profile)
    if left := _contents(cluster, platform.namespace):
        yield f"{named(space)}: stays, because of {', '.join(left[:5])}"
    else:
        yield _removed(cluster, space)


def _documents_step(cluster: Cluster, name: str, title: str, wanted: Sequence[Object]) -> Step:
    def diff() -> str:
        return "".join(_diff(cluster, obj) for obj in wanted)

    def apply() -> str:
        said = []
        for obj in wanted:
            live = cluster.get(obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
            if _is_released(live):
                _gone(cluster, obj)  # its claim was deleted; what lies in it stays
                live = None
            after = cluster.apply(obj)
            word = "made" if live is None else "changed" if _bare(live) != _bare(after) else "as it should be"
            said.append(f"{named(obj)}: {word}")
        return "; ".join(said)

    return Step(name, title, diff, apply)


def _diff(cluster: Cluster, obj: Object) -> str:
    space = obj["metadata"].get("namespace")
    live = cluster.get(obj["kind"], space, obj["metadata"]["name"])
    there = space is None or cluster.get("Namespace", None, space) is not None
    wanted = cluster.apply(obj, dry_run=True) if there and not _is_released(live) else obj
    names = f"live {named(obj)}", f"wanted {named(obj)}"
    return "".join(difflib.unified_diff(_lines(live), _lines(wanted), *names))


def _lines(obj: Object | None) -> list[str]:
    return yaml.safe_dump(_bare(obj)).splitlines(keepends=True) if obj else []


def _bare(obj: Object) -> Object:
    """Without what the server keeps for itself."""
    meta = {name: value for name, value in obj["metadata"].items() if name not in _SERVERS}
    return {name: value for name, value in obj.items() if name != "status"} | {"metadata": meta}


def _is_released(obj: Object | None) -> bool:
    return obj is not None and obj["kind"] == "PersistentVolume" and obj["status"].get("phase") == "Released"


def _nodes(cluster: Cluster, profile: Profile) -> list[str]:
    return usable(cluster.find("Node"), profile.platform)


@contextmanager
def _setup_space(cluster: Cluster, profile: Profile) -> Iterator[None]:
    """The namespace for pods that run as root; it is removed again."""
    platform = profile.platform
    space = setup_namespace(platform)
    _wait(lambda: not _is_ending(cluster.get("Namespace", None, space["metadata"]["name"])), _GONE_SECONDS)
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
        if final := final_trouble(pod):
            raise final
        waited = time.monotonic() - began
        if waited > limit:
            raise trouble(pod, cluster.events(meta["namespace"], meta["uid"]), waited)
        time.sleep(_PAUSE_SECONDS)
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


def _wait_bound(cluster: Cluster, profile: Profile) -> str:
    platform = profile.platform

    def phase() -> str:
        claim = cluster.get("PersistentVolumeClaim", platform.namespace, platform.volume_claim)
        return str(claim["status"].get("phase")) if claim else "missing"

    if not _wait(lambda: phase() == "Bound", _BOUND_SECONDS):
        raise ConfigError(
            f"the claim {platform.volume_claim} is {phase()}, not Bound",
            next_step=f"look at `kubectl -n {platform.namespace} describe pvc {platform.volume_claim}`",
            who="the cluster administrator",
        )
    return f"{platform.volume_claim} is Bound"


def _removed(cluster: Cluster, obj: Object) -> str:
    space, name = obj["metadata"].get("namespace"), obj["metadata"]["name"]
    live = cluster.get(obj["kind"], space, name)
    if live is None:
        return f"{named(obj)}: is gone"
    if not obj["metadata"]["labels"].items() <= live["metadata"].get("labels", {}).items():
        return f"{named(obj)}: stays, set-up did not make it"
    cluster.delete(obj["kind"], space, name, uid=live["metadata"]["uid"])
    return f"{named(obj)}: removed"


def _contents(cluster: Cluster, space: str) -> list[str]:
    """What lies in a namespace besides what Kubernetes puts there, and what set-up did."""
    kinds = ("Pod", "ConfigMap", "Secret", "Service", "PersistentVolumeClaim", "SparkApplication")
    found = [one for kind in kinds for one in cluster.find(kind, space)]
    names = [named(one) for one in found if not one["metadata"].get("deletionTimestamp")]
    return [name for name in names if not name.endswith("/kube-root-ca.crt")]


def _gone(cluster: Cluster, obj: Object) -> None:
    """Delete it if it is there, and wait until it is gone."""
    key = (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
    if cluster.get(*key) is None:
        return
    cluster.delete(*key, grace=0 if obj["kind"] == "Pod" else None)
    if not _wait(lambda: cluster.get(*key) is None, _GONE_SECONDS):
        raise TransientError(f"{named(obj)} is not gone", next_step="look what holds it; try again")


def _is_ending(obj: Object | None) -> bool:
    return obj is not None and bool(obj["metadata"].get("deletionTimestamp"))


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True

"""Setting a cluster up for a profile, and taking that away again: idempotent steps, each with a dry run.

Whoever runs them needs an administrator's rights; runs need only those of the account `ppml-submitter`.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import yaml

from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object, named
from ppml_ops.spark.k8s.objects import accounts, namespace, volume
from ppml_ops.spark.k8s.preparing import nodes_of, own_claim, prepare_nodes
from ppml_ops.spark.k8s.trouble import is_over
from ppml_ops.spark.k8s.waiting import gone, wait_for
from ppml_ops.spark.profiles import Profile

#: Names of the steps, in their order.
STEPS = ("namespace", "accounts", "volume", "nodes", "bound")
_BOUND_SECONDS = 60.0
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
        "volume": (
            "Volume and claim of the node folders",
            [] if own_claim(cluster, profile) else volume(platform),
        ),
    }
    steps = [_documents_step(cluster, name, title, wanted) for name, (title, wanted) in documents.items()]
    return [
        *steps,
        Step(
            "nodes",
            "Folder and image on each node",
            lambda: "\n".join(
                f"  prepare {platform.volume_path} on {node}" for node in nodes_of(cluster, profile)
            ),
            lambda: prepare_nodes(cluster, profile),
        ),
        Step("bound", "The claim is bound", lambda: "", lambda: _wait_bound(cluster, profile)),
    ]


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
                gone(cluster, obj)  # its claim was deleted; what lies in it stays
                live = None
            after = cluster.apply(obj)
            word = "made" if live is None else "changed" if _bare(live) != _bare(after) else "as it should be"
            said.append(f"{named(obj)}: {word}")
        return "; ".join(said) or "the claim is not ours, and is used as it is"

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


def _wait_bound(cluster: Cluster, profile: Profile) -> str:
    platform = profile.platform

    def phase() -> str:
        claim = cluster.get("PersistentVolumeClaim", platform.namespace, platform.volume_claim)
        return str(claim["status"].get("phase")) if claim else "missing"

    if not wait_for(lambda: phase() == "Bound", _BOUND_SECONDS):
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

"""Objects in a cluster whose run is over: what a killed orchestrator, or a lost clean-up, left there.

A run is over when nothing of it runs (no driver, no executor, no living SparkApplication, nothing that this
installation knows to live), and either its receipt was written after the newest object was made, or all is
older than the time for leftovers. That is looked at for the list, and again just before each object is deleted.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ppml_ops.maintenance.clean import Removal
from ppml_ops.maintenance.living import Living
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object, named
from ppml_ops.spark.k8s.names import MANAGED_BY, ROLE, RUN

#: In the order in which they are deleted: what would make others anew comes first.
KINDS = ("SparkApplication", "Pod", "ConfigMap")
#: Clean-up is given this long to end after the receipt's other inputs were written.
_GRACE_SECONDS = 600.0
_HOUR = 3600.0
_ENDED_PHASES = ("Succeeded", "Failed")
_ENDED_STATES = ("COMPLETED", "FAILED")


class Left(NamedTuple):
    """All objects of one run in a cluster."""

    run_key: str
    objects: tuple[Object, ...]

    def works(self, before: float) -> bool:
        """Something of the run's job may still run. Node pods only wait; they don't count.

        What was made `before` (Unix seconds) and has not even found a node, or an operator, never will.
        """
        return any(_works(one) and not (_never_began(one) and _made(one) < before) for one in self.objects)

    def made(self) -> float:
        """When the newest object was made, Unix seconds."""
        return max(_made(one) for one in self.objects)


def is_over(left: Left, *, receipt: float | None, seconds: float, now: float) -> bool:
    """Whether the run of these objects is over. Pure.

    Args:
        receipt: when its newest receipt was written, if there is one; Unix seconds.
        seconds: the time for leftovers.
    """
    if left.works(now - seconds):
        return False
    if receipt is not None and receipt > left.made() and now - receipt > _GRACE_SECONDS:
        return True
    return now - left.made() > seconds


def reapable(
    cluster: Cluster,
    namespace: str,
    home: Path,
    *,
    hours: float,
    clock: Callable[[], float] = time.time,
) -> Iterator[Removal]:
    """Everything in the namespace that may go, in the order in which it may be deleted.

    Raises:
        ConfigError, TransientError: the cluster refuses or does not answer.
    """
    for left in leftovers(_ours(cluster, namespace)):
        if _may_go(left, home, hours, clock()):
            for obj in left.objects:
                yield _removal(cluster, namespace, obj, left.run_key, home, hours, clock)


def leftovers(objects: Sequence[Object]) -> list[Left]:
    """Objects by run; those without our run label are nobody's to remove. Pure."""
    runs: dict[str, list[Object]] = {}
    for obj in objects:
        if key := obj["metadata"].get("labels", {}).get(RUN):
            runs.setdefault(key, []).append(obj)
    return [Left(key, tuple(found)) for key, found in sorted(runs.items())]


def _ours(cluster: Cluster, namespace: str, run_key: str | None = None) -> list[Object]:
    labels = {MANAGED_BY[0]: MANAGED_BY[1]} | ({RUN: run_key} if run_key else {})
    return [obj for kind in KINDS for obj in cluster.find(kind, namespace, labels)]


def _may_go(left: Left, home: Path, hours: float, now: float) -> bool:
    receipt = receipt_time(home, left.run_key)
    if not is_over(left, receipt=receipt, seconds=hours * _HOUR, now=now):
        return False
    # Where the receipt speaks, the folder's own age says nothing more: the receipt was its last change.
    seconds = _GRACE_SECONDS if receipt is not None else hours * _HOUR
    return not Living(home, seconds, now).has(left.run_key)


def receipt_time(home: Path, run_key: str) -> float | None:
    """When the newest receipt of a run was written; None where this installation has none."""
    times = [path.stat().st_mtime for path in (home / "runs" / run_key).glob("receipt*.json")]
    return max(times, default=None)


def _removal(
    cluster: Cluster,
    namespace: str,
    obj: Object,
    run_key: str,
    home: Path,
    hours: float,
    clock: Callable[[], float],
) -> Removal:
    def in_use() -> bool:
        found = leftovers(_ours(cluster, namespace, run_key))
        return bool(found) and not _may_go(found[0], home, hours, clock())

    def act() -> None:
        meta = obj["metadata"]
        cluster.delete(obj["kind"], namespace, meta["name"], uid=meta["uid"])

    role = obj["metadata"]["labels"].get(ROLE, "")
    return Removal(f"{role} {obj['kind']}".strip(), named(obj), act, in_use)


def _works(obj: Object) -> bool:
    match obj["kind"]:
        case "Pod":
            is_node_pod = obj["metadata"]["labels"].get(ROLE) == "node"
            return not is_node_pod and obj.get("status", {}).get("phase") not in _ENDED_PHASES
        case "SparkApplication":
            state = obj.get("status", {}).get("applicationState", {}).get("state", "")
            return state not in _ENDED_STATES
    return False


def _never_began(obj: Object) -> bool:
    if obj["kind"] == "Pod":
        return not obj.get("spec", {}).get("nodeName")
    return not obj.get("status", {}).get("applicationState", {}).get("state")


def _made(obj: Object) -> float:
    return datetime.fromisoformat(obj["metadata"]["creationTimestamp"]).timestamp()

"""What the documents of pods, events and quotas say about a job. Pure."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.refusals import shown
from ppml_ops.spark.k8s.trouble import never_starts

Document = Mapping[str, Any]
Phase = Literal["pending", "running", "ended", "lost"]

_MAX_MESSAGE = 4096
#: SIGKILL and SIGTERM, as a container's exit code says them.
_BY_SIGNAL = frozenset({137, 143})
DEADLINE = "DeadlineExceeded"
_OUTSIDE = frozenset({"Evicted", "Preempting", "NodeShutdown", "Terminated", DEADLINE})


class Report(NamedTuple):
    """What our entry point says at its end (`/dev/termination-log`); only its own words, never user text."""

    application_id: str | None
    line: str | None


class PodState(NamedTuple):
    """A pod as it stands.

    `age` counts from when it was made, `running` from when its container began, both in seconds. `exit_code` is
    None while it runs, and for a pod that was ended from outside; `why` says what a pending or lost pod waits
    for, or who ended it. `leaving`: it was asked to end.
    """

    phase: Phase
    node: str | None
    age: float
    exit_code: int | None = None
    report: Report = Report(None, None)
    why: str = ""
    never_starts: bool = False
    running: float = 0.0
    leaving: bool = False


def pod_state(pod: Object, now: float) -> PodState:
    """Read a pod's document; `now` is Unix seconds."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    node, age = spec.get("nodeName"), now - seconds_of(pod["metadata"].get("creationTimestamp"))
    leaving = "deletionTimestamp" in pod["metadata"]
    containers = status.get("containerStatuses") or []
    state = containers[0].get("state", {}) if containers else {}
    if ended := state.get("terminated"):
        report = parse_report(ended.get("message"))
        code: int | None = int(ended.get("exitCode", 1))
        outside = _ended_from_outside(status, ended, leaving) if code in _BY_SIGNAL else ""
        why = outside or shown(ended.get("reason") or "", 80)
        return PodState("ended", node, age, None if outside else code, report, why, leaving=leaving)
    if status.get("phase") in ("Failed", "Succeeded"):
        why = (
            f"{status.get('reason') or 'Failed'}: {status.get('message') or 'its container left no exit code'}"
        )
        return PodState("ended", node, age, why=shown(why, 300))
    if status.get("phase") == "Unknown" or status.get("reason") == "NodeLost" or _given_up(status):
        return PodState("lost", node, age, why=f"node {node} does not report any more", leaving=leaving)
    if "running" in state:
        since = now - seconds_of(state["running"].get("startedAt"))
        return PodState("running", node, age, running=max(since, 0.0), leaving=leaving)
    waiting = state.get("waiting") or {}
    reason = str(waiting.get("reason") or "")
    why = f"{reason}: {waiting.get('message') or ''}".strip(": ") or _condition(status)
    return PodState(
        "pending", node, age, why=shown(why, 300), never_starts=never_starts(pod, age), leaving=leaving
    )


def _ended_from_outside(status: Document, ended: Document, leaving: bool) -> str:
    """Who ended a container that ended by a signal; "" for nobody but itself, as for want of memory."""
    disrupted = _disruptions(status)
    reason = str(status.get("reason") or "")
    if reason in _OUTSIDE or disrupted or ended.get("reason") == "ContainerStatusUnknown":
        said = disrupted[0].get("message") if disrupted else status.get("message")
        return shown(f"{reason or 'Disrupted'}: {said or 'no message'}", 300)
    return "its pod was deleted" if leaving else ""


def _given_up(status: Document) -> bool:
    """The control plane evicts it because its node is silent; the process may still run there."""
    return any(one.get("reason") == "DeletionByTaintManager" for one in _disruptions(status))


def _disruptions(status: Document) -> list[Document]:
    return [
        one
        for one in status.get("conditions") or ()
        if one.get("type") == "DisruptionTarget" and one.get("status") == "True"
    ]


def _condition(status: Document) -> str:
    for one in status.get("conditions") or ():
        if one.get("status") == "False" and one.get("message"):
            return f"{one.get('reason') or one.get('type')}: {one['message']}"
    return ""


def parse_report(message: object) -> Report:
    """The termination message of our entry point; anything else gives an empty report."""
    try:
        document = json.loads(str(message or "")[:_MAX_MESSAGE])
        application, line = document.get("application_id"), document.get("line")
    except (ValueError, AttributeError, RecursionError):
        return Report(None, None)
    return Report(
        shown(application, 100) if isinstance(application, str) else None,
        shown(line, 2000) if isinstance(line, str) else None,
    )


def seconds_of(timestamp: str | None) -> float:
    """An RFC 3339 time in Unix seconds; infinity for none, so that what has no time yet is never too old."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else float("inf")


def quota_use(quotas: Iterable[Document]) -> str:
    """What is used of the namespace's limits, e.g. `small: pods 4 of 4 used`; one line."""
    lines = []
    for quota in quotas:
        hard, used = quota.get("status", {}).get("hard", {}), quota.get("status", {}).get("used", {})
        name = quota.get("metadata", {}).get("name")
        lines += [f"{name}: {what} {used.get(what, 0)} of {most} used" for what, most in sorted(hard.items())]
    return shown("; ".join(lines), 600)

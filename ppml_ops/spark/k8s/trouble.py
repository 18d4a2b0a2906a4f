"""Why a pod does not run: out of its own status and the events about it. Pure."""

from collections.abc import Sequence

from ppml_ops.errors import ConfigError, PpmlError, TransientError
from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.refusals import shown

_ADMIN = "the cluster administrator"
_SETUP = "run `ppml-ops cluster setup`, see `ppml-ops doctor cluster`"
#: Waiting reasons of a container that no patience mends.
_FINAL = {
    "ErrImageNeverPull": "load the image on that node, or let it be pulled (`image_pull_policy`)",
    "InvalidImageName": "correct `image` in the profile",
    "CreateContainerConfigError": "correct what the message names",
    "CreateContainerError": "correct what the message names",
    "RunContainerError": "correct what the message names",
}
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
#: A registry may be away for a moment; a wrong name stays wrong.
_IMAGE_SECONDS = 60


def is_ready(pod: Object) -> bool:
    """Running, ready, and not being deleted."""
    status = pod.get("status", {})
    ready = any(
        one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ()
    )
    return ready and status.get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


def is_over(pod: Object) -> bool:
    """Ended, whether well or not."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def final_trouble(pod: Object) -> PpmlError | None:
    """The error for a pod that will never run; None while it still may."""
    name = pod["metadata"]["name"]
    for waiting in _states(pod, "waiting"):
        if (reason := waiting.get("reason")) in _FINAL:
            said = shown(waiting.get("message", ""), 300)
            return ConfigError(f"pod {name} can't start: {reason}: {said}", next_step=_FINAL[reason])
    return None


def never_starts(pod: Object, seconds: float) -> bool:
    """Whether waiting longer than `seconds` can't help."""
    return final_trouble(pod) is not None or (
        seconds > _IMAGE_SECONDS and any(one.get("reason") in _IMAGE for one in _states(pod, "waiting"))
    )


def _states(pod: Object, state: str) -> list[Object]:
    """What the containers that are in `state` say of it."""
    containers = pod.get("status", {}).get("containerStatuses") or ()
    return [one["state"][state] for one in containers if one.get("state", {}).get(state)]


def trouble(pod: Object, events: Sequence[Object], seconds: float) -> PpmlError:
    """The error for a pod that does not run after `seconds`: the true reason, as far as the cluster says it."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    what = f"pod {name} does not run after {seconds:.0f} s"
    if is_over(pod):
        codes = "".join(f" exit code {one['exitCode']}" for one in _states(pod, "terminated"))
        why = shown(f"{status.get('reason', '')} {status.get('message', '')}{codes}", 300) or "no reason given"
        return TransientError(f"pod {name} has ended: {why}", next_step="look at its log; the task tries again")
    if final := final_trouble(pod):
        return final
    for waiting in _states(pod, "waiting"):
        if waiting.get("reason") in _IMAGE:
            said = shown(waiting.get("message", ""), 300)
            return ConfigError(
                f"{what}: its image can't be had: {said}", next_step="check `image` and the pull secrets"
            )
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _unscheduled(what, shown(condition.get("message", ""), 400))
    return _by_events(what, events)


def _unscheduled(what: str, said: str) -> PpmlError:
    if "persistentvolumeclaim" in said.lower():
        return ConfigError(f"{what}: {said}", who=_ADMIN, next_step=_SETUP)
    return TransientError(
        f"{what}: no node takes it: {said}",
        who=_ADMIN,
        next_step="free CPU or memory on the nodes, or ask for less in the profile; the task tries again",
    )


def _by_events(what: str, events: Sequence[Object]) -> PpmlError:
    warnings = [event for event in events if event.get("type") == "Warning"]
    if not warnings:
        return TransientError(f"{what}, and no event says why", next_step="look at node and kubelet")
    last = warnings[-1]
    said = f"{what}: {shown(last.get('reason', ''), 60)}: {shown(last.get('message', ''), 400)}"
    if last.get("reason") in ("FailedMount", "FailedAttachVolume"):
        return ConfigError(said, who=_ADMIN, next_step=_SETUP)
    return TransientError(said, next_step="look at node and kubelet; the task tries again")

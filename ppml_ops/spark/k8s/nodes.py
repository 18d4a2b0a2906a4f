"""The nodes of a cluster as a profile sees them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.platform import KubernetesPlatform

_UNITS: dict[str, float] = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
}
_UNITS |= {"Ti": 1 << 40, "m": 0.001}


class NodeState(NamedTuple):
    """One node: whether it can take our pods (`why_not` is empty), what it can give, which images it has."""

    name: str
    why_not: str
    cpu: float
    memory: float
    images: frozenset[str]


def node_states(nodes: Sequence[Object], platform: KubernetesPlatform) -> list[NodeState]:
    """All nodes, by name."""
    states = [_state(node, platform) for node in nodes]
    return sorted(states, key=lambda state: state.name)


def usable(nodes: Sequence[Object], platform: KubernetesPlatform) -> list[str]:
    """Names of the nodes that can take our pods now, sorted."""
    return [state.name for state in node_states(nodes, platform) if not state.why_not]


def quantity(text: object) -> float:
    """A quantity such as `500m` or `2Gi` as a number; 0 for what is none."""
    number = str(text)
    unit = number.lstrip("0123456789.")
    try:
        return float(number.removesuffix(unit) if unit else number) * _UNITS[unit]
    except (KeyError, ValueError):
        return 0.0


def _state(node: Object, platform: KubernetesPlatform) -> NodeState:
    status, meta = node.get("status", {}), node["metadata"]
    free = status.get("allocatable", {})
    images = (name for image in status.get("images") or () for name in image.get("names") or ())
    return NodeState(
        meta["name"],
        _why_not(node, platform),
        quantity(free.get("cpu", 0)),
        quantity(free.get("memory", 0)),
        frozenset(images),
    )


def _why_not(node: Object, platform: KubernetesPlatform) -> str:
    labels = node["metadata"].get("labels", {})
    for name, value in platform.node_selector.items():
        if labels.get(name) != value:
            return f"has not the label {name}={value}"
    conditions = node.get("status", {}).get("conditions") or ()
    if not any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions):
        return "is not ready"
    spec = node.get("spec", {})
    if spec.get("unschedulable"):
        return "is cordoned"
    for taint in spec.get("taints") or ():
        if taint.get("effect") != "PreferNoSchedule" and not _tolerated(taint, platform.tolerations):
            return f"has the taint {taint.get('key')}:{taint.get('effect')}"
    return ""


def _tolerated(taint: Object, tolerations: Sequence[Mapping[str, Any]]) -> bool:
    for one in tolerations:
        if one.get("effect") not in (None, "", taint.get("effect")):
            continue
        if one.get("operator") == "Exists" and one.get("key") in (None, "", taint.get("key")):
            return True
        if one.get("key") == taint.get("key") and one.get("value", "") == taint.get("value", ""):
            return True
    return False

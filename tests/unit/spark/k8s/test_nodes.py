"""Which nodes a profile can use, and why not the others."""

from typing import Any

import pytest

from ppml_ops.spark.k8s.nodes import node_states, quantity, usable
from tests.unit.spark.k8s.profiles import cluster_profile, node

TAINT = {"key": "tee", "value": "tdx", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (node(ready=False), "is not ready"),
        (node(spec={"unschedulable": True}), "is cordoned"),
        (node(spec={"taints": [TAINT]}), "has the taint tee:NoSchedule"),
        (node(), "has not the label tee=tdx"),
    ],
)
def test_why_a_node_takes_no_pods(made: dict[str, Any], why: str) -> None:
    selector = {"tee": "tdx"} if "label" in why else {}
    platform = cluster_profile(node_selector=selector).platform
    assert node_states([made], platform)[0].why_not == why
    assert usable([made, node("other", labels={"tee": "tdx"})], platform) == ["other"]


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "tee", "operator": "Exists"},
        {"key": "tee", "value": "tdx"},
        {"key": "tee", "value": "tdx", "effect": "NoSchedule"},
    ],
)
def test_tolerated_taints(toleration: dict[str, str]) -> None:
    tainted = [node(spec={"taints": [TAINT, {"key": "x", "effect": "PreferNoSchedule"}]})]
    assert usable(tainted, cluster_profile(tolerations=(toleration,)).platform) == ["n1"]


def test_a_toleration_of_another_effect_does_not_count() -> None:
    platform = cluster_profile(tolerations=({"operator": "Exists", "effect": "NoExecute"},)).platform
    assert usable([node(spec={"taints": [TAINT]})], platform) == []


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2), ("500m", 0.5), ("1Gi", 1 << 30), ("16432144Ki", 16432144 << 10), ("x", 0)]
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == number

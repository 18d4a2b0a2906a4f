"""Which leftovers in a cluster may go; above all, that nothing of a living run does."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.maintenance.reap import Left, is_over, leftovers, reapable
from ppml_ops.spark.k8s.names import ROLE, run_labels
from tests.support.proof import run_in

KEY = "etl-20261120-0123456789ab"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


def obj(kind: str, role: str = "", *, hours: float = 48, key: str = KEY, **status: Any) -> dict[str, Any]:
    """An object that was made so many hours ago."""
    made = datetime.fromtimestamp(NOW - hours * HOUR, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = run_labels(key) | ({ROLE: role} if role else {})
    name = f"{key}-{kind}-{role}-{hours}".lower()
    meta = {"name": name, "namespace": "w", "uid": name, "labels": labels, "creationTimestamp": made}
    spec = {"nodeName": "node-1"} if kind == "Pod" else {}
    return {"kind": kind, "metadata": meta, "spec": spec, "status": status}


def over(*objects: dict[str, Any], receipt: float | None = None) -> bool:
    written = None if receipt is None else NOW - receipt * HOUR
    return is_over(Left(KEY, objects), receipt=written, seconds=24 * HOUR, now=NOW)


@pytest.mark.parametrize(
    "working",
    [
        obj("Pod", "driver", phase="Running"),
        obj("Pod", "driver", phase="Pending"),
        obj("Pod", "driver", phase="Unknown"),
        obj("Pod", "executor", phase="Running"),
        obj("SparkApplication", applicationState={"state": "RUNNING"}),
        obj("SparkApplication", applicationState={"state": "PENDING_RERUN"}),
        obj("SparkApplication", applicationState={"state": "NEW"}),
    ],
)
def test_nothing_of_what_works_is_over_however_old(working: dict[str, Any]) -> None:
    assert not over(working, obj("ConfigMap"))
    assert not over(working, obj("ConfigMap"), receipt=1)


@pytest.mark.parametrize("hours", [1, 48])
def test_what_found_no_node_and_no_operator_works_only_while_it_is_young(hours: float) -> None:
    pending = obj("Pod", "driver", hours=hours, phase="Pending") | {"spec": {}}
    assert over(pending, obj("SparkApplication", hours=hours), obj("ConfigMap")) is (hours == 48)


def test_what_has_ended_is_over_when_it_is_old() -> None:
    ended = (
        obj("Pod", "driver", phase="Succeeded"),
        obj("Pod", "node", phase="Running"),
        obj("SparkApplication", applicationState={"state": "COMPLETED"}),
    )
    assert over(*ended)
    assert not over(*ended, obj("ConfigMap", hours=23))


def test_a_receipt_makes_it_over_at_once_unless_something_was_made_since() -> None:
    pod = obj("Pod", "node", hours=3, phase="Running")
    assert not over(pod)
    assert over(pod, receipt=2)
    assert not over(pod, receipt=4)
    assert not over(pod, receipt=0.01)


def test_objects_without_a_run_are_nobodys() -> None:
    stranger = obj("ConfigMap")
    del stranger["metadata"]["labels"]["ppml-ops.io/run"]
    other = obj("Pod", key="etl-20261120-ffffffffffff")
    assert [left.run_key for left in leftovers([stranger, other, obj("Pod")])] == [
        KEY,
        "etl-20261120-ffffffffffff",
    ]


class Fake:
    """A cluster that holds these objects."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = list(objects)

    def find(self, kind: str, _namespace: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        return [
            one
            for one in self.objects
            if one["kind"] == kind and labels.items() <= one["metadata"]["labels"].items()
        ]

    def delete(self, _kind: str, _namespace: str, _name: str, *, uid: str) -> bool:
        self.objects = [one for one in self.objects if one["metadata"]["uid"] != uid]
        return True


def reap(cluster: Any, home: Path) -> list[bool]:
    return [one.remove() for one in reapable(cluster, "w", home, hours=24, clock=lambda: NOW)]


def test_all_of_a_run_goes_in_order(tmp_path: Path) -> None:
    cluster = Fake(
        obj("ConfigMap"), obj("Pod", "driver", phase="Failed"), obj("Pod", "node", key="x-20261120-0", hours=1)
    )
    assert reap(cluster, tmp_path) == [True, True]
    assert [one["metadata"]["labels"]["ppml-ops.io/run"] for one in cluster.objects] == ["x-20261120-0"]
    assert reap(cluster, tmp_path) == []


def test_a_run_that_came_back_between_list_and_delete_stays(tmp_path: Path) -> None:
    cluster = Fake(obj("ConfigMap"), obj("Pod", "driver", phase="Failed"))
    found = list(reapable(cluster, "w", tmp_path, hours=24, clock=lambda: NOW))  # type: ignore[arg-type]
    cluster.objects.append(obj("Pod", "driver", hours=0, phase="Pending"))
    assert [one.remove() for one in found] == [False, False]
    assert len(cluster.objects) == 3


def test_a_run_that_this_installation_works_on_stays(tmp_path: Path) -> None:
    run = run_in(tmp_path).save()
    cluster = Fake(obj("Pod", "node", key=run.key, phase="Running"))
    os.utime(run.folder, (NOW - HOUR, NOW - HOUR))
    os.utime(run.folder / "run.json", (NOW - HOUR, NOW - HOUR))
    assert reap(cluster, tmp_path) == []
    for path in (*run.folder.rglob("*"), run.folder):
        os.utime(path, (NOW - 30 * HOUR, NOW - 30 * HOUR))
    assert reap(cluster, tmp_path) == [True]

"""The true reason why a pod does not run."""

from typing import Any

import pytest

from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.k8s.trouble import final_trouble, is_ready, trouble


def pod(**status: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Pending"} | status}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return pod(containerStatuses=[{"state": {"waiting": {"reason": reason, "message": message}}}])


def unscheduled(message: str) -> dict[str, Any]:
    return pod(conditions=[{"type": "PodScheduled", "status": "False", "message": message}])


def warning(reason: str, message: str) -> list[dict[str, Any]]:
    return [
        {"type": "Normal", "reason": "Scheduled"},
        {"type": "Warning", "reason": reason, "message": message},
    ]


@pytest.mark.parametrize(
    ("made", "events", "error", "words"),
    [
        (waiting("ErrImageNeverPull"), [], ConfigError, "can't start: ErrImageNeverPull"),
        (waiting("ImagePullBackOff", "no such tag"), [], ConfigError, "image can't be had: no such tag"),
        (unscheduled("0/2 nodes: Insufficient cpu"), [], TransientError, "no node takes it: 0/2"),
        (unscheduled('persistentvolumeclaim "x" not found'), [], ConfigError, "cluster setup"),
        (pod(), warning("FailedMount", "not a directory"), ConfigError, "FailedMount: not a directory"),
        (pod(), warning("FailedCreatePodSandBox", "cni"), TransientError, "FailedCreatePodSandBox: cni"),
        (pod(), [], TransientError, "no event says why"),
        (pod(phase="Failed", reason="OutOfcpu", message="no room"), [], TransientError, "OutOfcpu no room"),
        (
            pod(phase="Failed", containerStatuses=[{"state": {"terminated": {"exitCode": 1}}}]),
            [],
            TransientError,
            "has ended: exit code 1",
        ),
    ],
)
def test_reasons(
    made: dict[str, Any], events: list[dict[str, Any]], error: type[Exception], words: str
) -> None:
    found = trouble(made, events, 60)
    assert type(found) is error
    assert words in str(found)


def test_only_what_never_passes_is_final() -> None:
    assert final_trouble(waiting("InvalidImageName")) is not None
    assert final_trouble(waiting("ImagePullBackOff")) is None
    assert final_trouble(pod()) is None


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    ready = pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    assert is_ready(ready)
    ready["metadata"]["deletionTimestamp"] = "2026-11-20T00:00:00Z"
    assert not is_ready(ready)

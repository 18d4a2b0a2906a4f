"""What is seen of a driver and its executors, and what follows from it; documents as the API gives them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ppml_ops.errors import ConfigError, DeniedError, PpmlError, TransientError, WorkloadError
from ppml_ops.spark.driving import EXECUTORS_FAILED
from ppml_ops.spark.k8s import following
from ppml_ops.spark.k8s.following import PodJob
from ppml_ops.spark.k8s.names import generation_labels
from ppml_ops.spark.k8s.podlogs import LogLine
from ppml_ops.spark.k8s.seen import Seen, trouble
from ppml_ops.spark.k8s.status import PodState, parse_report, pod_state, quota_use
from ppml_ops.spark.profiles import Profile
from tests.unit.spark.k8s.profiles import cluster_profile

KEY = "simple-query-20261120-0123456789ab"
GENERATION = f"{KEY}-g1"
NOW = datetime.now(UTC)


def pod(
    name: str = f"{GENERATION}-driver",
    role: str = "driver",
    *,
    age: float = 5,
    state: Mapping[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    containers = [{"name": "c", "state": state}] if state else []
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "w",
            "uid": f"uid-{name}",
            "labels": generation_labels(KEY, GENERATION) | {"ppml-ops.io/role": role},
            "creationTimestamp": (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z"),
        },
        "spec": {"nodeName": "node-2"},
        "status": {"containerStatuses": containers} | status,
    }


RUNNING = {"running": {"startedAt": NOW.isoformat()}}


def ended(code: int, line: str | None = None, reason: str = "Error") -> dict[str, Any]:
    message = json.dumps({"exit_code": code, "application_id": "spark-1", "line": line})
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def test_the_container_counts_and_not_the_phase() -> None:
    seen = pod_state(pod(state=ended(1), phase="Running"), NOW.timestamp())
    assert (seen.phase, seen.exit_code, seen.report.application_id) == ("ended", 1, "spark-1")


def test_a_pod_that_was_evicted_has_no_exit_code() -> None:
    seen = pod_state(pod(phase="Failed", reason="Evicted", message="disk pressure"), NOW.timestamp())
    assert (seen.phase, seen.exit_code, seen.why) == ("ended", None, "Evicted: disk pressure")


def test_a_pod_on_a_silent_node_is_lost_and_not_ended() -> None:
    taint = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    seen = pod_state(pod(state=RUNNING, phase="Running", conditions=[taint]), NOW.timestamp())
    assert seen.phase == "lost" and "node-2" in seen.why


def test_a_pending_pod_says_what_it_waits_for() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/2 nodes are available: 2 Insufficient cpu.",
    }
    seen = pod_state(pod(phase="Pending", conditions=[condition]), NOW.timestamp())
    assert (seen.phase, seen.never_starts) == ("pending", False)
    assert "Insufficient cpu" in seen.why


@pytest.mark.parametrize(
    ("reason", "age", "never"),
    [
        ("ErrImageNeverPull", 1, True),
        ("InvalidImageName", 1, True),
        ("CreateContainerConfigError", 1, True),
        ("ErrImagePull", 5, False),
        ("ImagePullBackOff", 90, True),
        ("ContainerCreating", 90, False),
    ],
)
def test_some_reasons_never_go_away(reason: str, age: float, never: bool) -> None:
    seen = pod_state(pod(state=waiting(reason), phase="Pending", age=age), NOW.timestamp())
    assert seen.never_starts is never


@pytest.mark.parametrize("message", [None, "", "{", "[1]", "null", "x" * 5000, '{"line": 3}'])
def test_a_strange_termination_message_says_nothing(message: str | None) -> None:
    assert parse_report(message) == (None, None)


def state(phase: str = "running", **fields: Any) -> PodState:
    return PodState(phase, fields.pop("node", "node-1"), fields.pop("age", 10.0), **fields)  # type: ignore[arg-type]


def after(seen: Seen, seconds: float) -> Seen:
    """As it is when the driver has run that long."""
    return seen._replace(driver=seen.driver._replace(running=seconds)) if seen.driver else seen


PROFILE = cluster_profile(start_limit=60, executor_failures=1)


@pytest.mark.parametrize(
    ("seen", "running_for", "why"),
    [
        (Seen(state("pending", age=61, why="no room"), ()), 0, "did not start within 61 s: no room"),
        (Seen(state("pending", never_starts=True, why="no image"), ()), 0, "no image"),
        (Seen(state(), ()), 61, "no executor started within 61 s: none could be made"),
        (Seen(state(), (state("pending", why="no cpu"),)), 61, "no cpu"),
        (Seen(state(), (state("pending", never_starts=True, why="no image"),)), 5, "an executor can't start"),
        (Seen(state(), (state("ended", exit_code=77), state("ended", exit_code=77))), 5, "2 executors were"),
        (Seen(state(), (state(),)), 90_000, "longer than its limit"),
    ],
)
def test_what_waiting_does_not_mend(seen: Seen, running_for: float, why: str) -> None:
    found = trouble(after(seen, running_for), PROFILE, NOW.timestamp())
    assert found is not None and why in found.why


@pytest.mark.parametrize(
    ("seen", "running_for"),
    [
        (Seen(state("pending", age=59), ()), 0),
        (Seen(state(), ()), 59),
        (Seen(state(), (state(),)), 600),
        (Seen(state(), (state("ended", exit_code=1),)), 600),
        (Seen(state(), (state("ended", exit_code=77), state())), 600),
        (Seen(state("ended", exit_code=1), ()), 600),
        (Seen(state(), (state(), state("pending", never_starts=True, why="registry away"))), 600),
        (Seen(None, ()), 600),
    ],
)
def test_what_is_no_trouble(seen: Seen, running_for: float) -> None:
    assert trouble(after(seen, running_for), PROFILE, NOW.timestamp()) is None


class Cluster:
    """The documents of a cluster at one look after the other; the last one stays."""

    def __init__(self, *looks: Iterable[dict[str, Any]], logs: str = "", **kinds: list[Any]) -> None:
        self._looks = [list(one) for one in looks]
        self.kinds = kinds
        self.deleted: list[tuple[str, str]] = []

    def now(self) -> float:
        return NOW.timestamp()

    def find(self, kind: str, *_where: Any, **_options: Any) -> list[Any]:
        if kind != "Pod":
            return self.kinds.get(kind, [])
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def get(self, kind: str, _namespace: str, _name: str) -> Any:
        return next(iter(self.kinds.get(kind, [])), None)

    def events(self, _namespace: str, uid: str) -> list[Any]:
        return [event for event in self.kinds.get("Event", []) if event["involvedObject"]["uid"] == uid]

    def delete(self, kind: str, _namespace: str, name: str, **_options: Any) -> bool:
        self.deleted.append((kind, name))
        return True


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0)
    monkeypatch.setattr(following, "read_log", lambda *_a, **_k: iter(()))


def follow(cluster: Cluster, profile: Profile = PROFILE) -> PodJob:
    return PodJob(cluster, profile, KEY, GENERATION, on_line=lambda _line: None)  # type: ignore[arg-type]


def test_success_is_exit_code_zero() -> None:
    job = follow(Cluster([pod(state=RUNNING)], [pod(state=ended(0, reason="Completed"))]))
    assert job.wait().exit_code == 0
    assert job.node == "node-2"


def test_a_driver_that_is_gone_is_never_a_success() -> None:
    with pytest.raises(TransientError, match="left no exit code, so it counts as failed"):
        follow(Cluster([pod(state=RUNNING)], [])).wait()


def test_a_driver_that_was_killed_from_outside_can_be_tried_again() -> None:
    with pytest.raises(TransientError, match=r"ended from outside .Evicted"):
        follow(Cluster([pod(phase="Failed", reason="Evicted", message="memory")])).wait()


def test_the_refusal_of_the_driver_is_shown() -> None:
    line = "PPML-DENIED: no key is released: rtmr3 [the data owner: compare]"
    with pytest.raises(DeniedError, match="rtmr3") as caught:
        follow(Cluster([pod(state=ended(77, line))])).wait()
    assert caught.value.who == "the data owner"


LINE = "PPML-DENIED: no key is released: tcb_status [the data owner: update the node]"


def test_the_refusal_of_executors_says_more_than_that_spark_gave_up() -> None:
    executor = pod("e1", "executor", state=ended(77, LINE))
    with pytest.raises(DeniedError, match=r"2 executors were refused; the last one: no key.*tcb_status"):
        follow(Cluster([pod(state=ended(70)), executor, executor])).wait()


def gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    line = LogLine("2026-11-20T10:00:00Z", EXECUTORS_FAILED)
    monkeypatch.setattr(following, "read_log", lambda *_a, since, **_k: iter([] if since else [line]))


def test_executors_beyond_a_quota_are_for_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    gave_up(monkeypatch)
    quota = {"metadata": {"name": "small"}, "status": {"hard": {"pods": "4"}, "used": {"pods": "4"}}}
    with pytest.raises(TransientError, match=r"failed .none was made; quota small: pods 4 of 4 used"):
        follow(Cluster([pod(state=ended(70))], ResourceQuota=[quota])).wait()


def test_executors_that_die_of_the_job_are_its_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    gave_up(monkeypatch)
    executor = pod("e1", "executor", state=ended(137))
    with pytest.raises(WorkloadError, match=r"more than 1 executors failed .exit codes 137, 137"):
        follow(Cluster([pod(state=ended(70)), executor, executor])).wait()


def test_one_refusal_long_ago_does_not_explain_another_failure() -> None:
    executor = pod("e1", "executor", state=ended(75, "PPML-TRANSIENT: away [the operator: wait]"))
    with pytest.raises(WorkloadError, match="exit code 70"):
        follow(Cluster([pod(state=ended(70)), executor])).wait()


@pytest.mark.parametrize(
    "how",
    [
        {"reason": "Evicted", "message": "disk pressure"},
        {"reason": "NodeShutdown"},
        {"conditions": [{"type": "DisruptionTarget", "status": "True", "message": "drained"}]},
    ],
)
@pytest.mark.parametrize("code", [137, 143])
def test_a_driver_that_others_ended_is_no_fault_of_its_author(how: dict[str, Any], code: int) -> None:
    with pytest.raises(TransientError, match="ended from outside"):
        follow(Cluster([pod(state=ended(code), phase="Failed", **how)])).wait()


def test_a_driver_that_ran_out_of_memory_is() -> None:
    with pytest.raises(WorkloadError, match="137"):
        follow(Cluster([pod(state=ended(137, reason="OOMKilled"), phase="Failed")])).wait()


def test_the_kubelets_time_limit_is_that_of_the_job() -> None:
    with pytest.raises(WorkloadError, match="longer than its limit"):
        follow(Cluster([pod(state=ended(137), phase="Failed", reason="DeadlineExceeded")])).wait()


def test_a_log_that_cannot_be_read_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_a: Any, **_k: Any) -> Iterator[Any]:
        raise TransientError("the node is silent", next_step="wait")

    monkeypatch.setattr(following, "read_log", away)
    said: list[str] = []
    looks = ([pod(state=RUNNING)], [pod(state=RUNNING)], [pod(state=ended(0))])
    job = PodJob(Cluster(*looks), PROFILE, KEY, GENERATION, on_line=said.append)  # type: ignore[arg-type]
    assert job.wait().exit_code == 0
    assert said == ["the driver's log can't be read now: the node is silent"]


def test_time_counts_from_the_containers_start_and_not_from_the_first_look() -> None:
    begun = {"running": {"startedAt": (NOW - timedelta(hours=30)).isoformat()}}
    cluster = Cluster([pod(state=begun), pod("e", "executor", state=RUNNING)])
    assert follow(cluster).needs_attention() is True
    with pytest.raises(WorkloadError, match="longer than its limit"):
        follow(cluster).wait()


def test_a_driver_that_does_not_start_is_ended_with_the_reason_and_the_events() -> None:
    event = {
        "type": "Warning",
        "reason": "FailedScheduling",
        "message": "2 Insufficient memory",
        "involvedObject": {"uid": f"uid-{GENERATION}-driver"},
    }
    quota = {
        "metadata": {"name": "small"},
        "status": {"hard": {"pods": "4"}, "used": {"pods": "4"}},
    }
    cluster = Cluster([pod(phase="Pending", age=100)], Event=[event], ResourceQuota=[quota])
    with pytest.raises(TransientError, match=r"Insufficient memory.*small: pods 4 of 4 used"):
        follow(cluster).wait()
    assert cluster.deleted == [("Pod", f"{GENERATION}-driver")]


def test_a_missing_image_fails_for_good() -> None:
    with pytest.raises(ConfigError, match="ErrImageNeverPull"):
        follow(Cluster([pod(state=waiting("ErrImageNeverPull"), phase="Pending")])).wait()


def test_a_stop_is_said() -> None:
    job = follow(Cluster([pod(state=ended(143))]))
    job.stop("its task was ended in Airflow")
    with pytest.raises(WorkloadError, match="its task was ended in Airflow"):
        job.wait()


def operator(**state: str) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": NOW.isoformat()},
        "status": {"applicationState": state},
    }


def test_what_the_operator_could_not_submit() -> None:
    said = 'WARNING: x\nException in thread "main" java.lang.X: no such image\n at y'
    cluster = Cluster([], SparkApplication=[operator(state="SUBMISSION_FAILED", errorMessage=said)])
    with pytest.raises(TransientError, match=r"says SUBMISSION_FAILED: Exception in thread.*no such image"):
        follow(cluster, cluster_profile(mode="operator")).wait()
    assert ("SparkApplication", GENERATION) in cluster.deleted


@pytest.mark.parametrize(
    ("looks", "wanted"),
    [
        ([pod(state=RUNNING)], False),
        ([pod(phase="Pending")], False),
        ([pod(state=ended(1))], True),
        ([], True),
        ([pod(phase="Pending", age=1000)], True),
    ],
)
def test_when_a_trigger_wakes_its_task(looks: list[dict[str, Any]], wanted: bool) -> None:
    assert follow(Cluster(looks)).needs_attention() is wanted


def test_texts_of_the_cluster_are_cut_and_printable() -> None:
    hard = {f"limits.x{number}\x1b": "1" for number in range(100)}
    text = quota_use([{"metadata": {"name": "q"}, "status": {"hard": hard, "used": {}}}])
    assert len(text) <= 600 and "\x1b" not in text
    assert quota_use([]) == ""


def test_errors_are_of_our_tree() -> None:
    for code in (65, 70, 75, 76, 77, 78, 1, 137):
        with pytest.raises(PpmlError):
            follow(Cluster([pod(state=ended(code))])).wait()

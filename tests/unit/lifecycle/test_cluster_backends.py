"""Whether a generation's driver is followed, waited for or replaced; over documents of a cluster."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppml_ops.errors import TransientError
from ppml_ops.lifecycle.backends import LocalBackend, backend_of
from ppml_ops.lifecycle.cluster_backends import PodBackend, own_address
from ppml_ops.lifecycle.generations import Generation, begin
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.submit import _adopt_or_begin
from ppml_ops.spark.k8s import following
from tests.unit.spark.builders import job
from tests.unit.spark.k8s.profiles import cluster_profile
from tests.unit.spark.k8s.test_following import RUNNING, Cluster, ended
from tests.unit.spark.k8s.test_following import pod as driver_document


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0)
    monkeypatch.setattr(following, "read_log", lambda *_a, **_k: iter(()))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "w.yaml").write_text(yaml.safe_dump(cluster_profile().model_dump(mode="json")))
    made = Run(
        home=tmp_path,
        storage=str(tmp_path / "storage"),
        dag_id="d",
        run_id="r",
        run_type="manual",
        day=date(2026, 11, 20),
        profile_name="w",
    )
    made.folder.mkdir(parents=True)
    return made


def pod(generation: Generation, **parts: Any) -> dict[str, Any]:
    made = driver_document(f"{generation.name}-driver", **parts)
    made["metadata"]["labels"] |= {"ppml-ops.io/run": generation.run.key}
    return made


class Removing(Cluster):
    """Pods that are deleted are gone at the next look."""

    def delete_all(self, kind: str, _namespace: str, _labels: Any) -> int:
        self.deleted.append((kind, "all"))
        self._looks = [[]]
        return 1


def seen(run: Run, *looks: list[dict[str, Any]]) -> PodBackend:
    run.__dict__["cluster_api"] = Removing(*looks)
    backend = backend_of(run)
    assert isinstance(backend, PodBackend)
    return backend


def made(generation: Generation) -> Generation:
    generation.folder.mkdir(exist_ok=True)
    (generation.folder / "made.json").write_text("{}")
    return generation


def test_the_profile_says_which_backend(run: Run) -> None:
    assert isinstance(backend_of(run.model_copy(update={"profile_name": "local"})), LocalBackend)


def test_an_intent_that_nothing_came_of_is_used_again(run: Run) -> None:
    first = begin(run, "t")
    assert _adopt_or_begin(run, seen(run, []), "t") == (first, False)


@pytest.mark.parametrize("state", [RUNNING, ended(0), ended(77), ended(143)])
def test_a_driver_whose_end_nobody_told_is_followed_and_not_replaced(run: Run, state: dict[str, Any]) -> None:
    """Also one that ended while its task was deferred, or while no worker lived."""
    first = made(begin(run, "t"))
    assert _adopt_or_begin(run, seen(run, [pod(first, state=state)]), "t") == (first, True)


def test_the_end_is_written_down_so_that_the_next_try_is_another_one(run: Run) -> None:
    first = made(begin(run, "t"))
    backend = seen(run, [pod(first, phase="Failed", reason="Evicted")])
    with pytest.raises(TransientError, match="ended from outside"):
        backend.follow(first, job(), lambda _line: None).wait()
    assert json.loads((first.folder / "exit.json").read_bytes())["exit_code"] is None
    second, adopted = _adopt_or_begin(run, backend, "t")
    assert (second.number, adopted) == (2, False)


def test_a_driver_that_was_asked_to_end_is_waited_for_and_replaced(run: Run) -> None:
    first = made(begin(run, "t"))
    leaving = pod(first, state=RUNNING)
    leaving["metadata"]["deletionTimestamp"] = "2026-11-20T00:00:00Z"
    second, adopted = _adopt_or_begin(run, seen(run, [leaving]), "t")
    assert (second.number, adopted) == (2, False)


def test_a_driver_that_is_gone_has_a_successor(run: Run) -> None:
    made(begin(run, "t"))
    second, adopted = _adopt_or_begin(run, seen(run, []), "t")
    assert (second.number, adopted) == (2, False)


def test_a_good_end_that_was_told_needs_no_pod(run: Run) -> None:
    first = made(begin(run, "t"))
    (first.folder / "exit.json").write_text('{"exit_code": 0, "application_id": "a", "node": "node-2"}')
    outcome = seen(run, []).follow(first, job(), lambda _line: None).wait()
    assert (outcome.exit_code, outcome.application_id, first.driver_node) == (0, "a", "node-2")


def test_another_ticket_begins_anew(run: Run) -> None:
    first = made(begin(run, "t"))
    second, adopted = _adopt_or_begin(run, seen(run, [pod(first, state=RUNNING)]), "u")
    assert (second.number, adopted) == (2, False)


def test_own_address_is_that_of_the_way_to_the_api_server() -> None:
    assert own_address("https://127.0.0.1:6443") == "127.0.0.1"
    with pytest.raises(TransientError, match="no route"):
        own_address("https://nowhere.invalid:6443")

"""Run states never lie: whatever fails, is skipped or is set by hand, an unproven run is not green.

The matrix of airflow.md 9.1 for the arrangement S2, on the shipped DAG with a real Airflow.
"""

from pathlib import Path
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization
from sqlalchemy import select

from ppml_ops.airflow.headless.drive import create_run, drive
from ppml_ops.airflow.receipt import WriteReceipt
from ppml_ops.errors import DeniedError, TransientError
from ppml_ops.receipts.judge import STAGES
from ppml_ops.receipts.receipt import Receipt, read_receipt, receipt_files
from tests.integration.airflow.conftest import Stages, no_context

pytestmark = pytest.mark.airflow


def fail() -> None:
    raise DeniedError("the test says so", next_step="nothing")


def skip() -> None:
    raise AirflowSkipException("the test says so")


def last_receipt(home: Path) -> Receipt | None:
    files = [file for folder in (home / "runs").glob("*") for file in receipt_files(folder)]
    return read_receipt(files[-1]) if files else None


def mark(dag: Any, run_id: str, task_id: str, state: str, session: Any) -> None:
    """Create the run and set the state of one of its tasks before anything ran, as a person can in the UI."""
    serialized = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    create_run(serialized, run_id, {}, session)
    run = session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one()
    for task_instance in run.get_task_instances(session=session):
        if task_instance.task_id == task_id:
            task_instance.state = state
    session.commit()


def test_a_run_in_which_all_stages_work_is_green_and_proven(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path
) -> None:
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    receipt = last_receipt(tmp_path)
    assert receipt is not None
    assert receipt.proven
    assert sorted(set(stages.ran)) == sorted(STAGES)
    assert stages.ran.count("gather") == 2


@pytest.mark.parametrize("stage", STAGES)
def test_a_failed_stage_is_never_green(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path, stage: str
) -> None:
    stages.instead[stage] = fail
    assert drive(dag, new_run_id, {}, no_context, session) == "failed"
    receipt = last_receipt(tmp_path)
    if stage == "open_run":  # there is no folder to write a receipt into; the run is red
        assert receipt is None
        return
    assert receipt is not None, "the receipt is written for failed runs too"
    assert not receipt.proven
    if stage not in ("open_run", "preflight", "generate_key", "encrypt_upload", "issue_ticket"):
        assert {"retire_ticket", "clean_up"} <= set(stages.ran), "teardowns run after failure"


@pytest.mark.parametrize("state", ["success", "skipped"])
@pytest.mark.parametrize(
    "stage", [stage for stage in STAGES if stage != "gather"]
)  # mapped: has no instance yet
def test_a_stage_set_by_hand_is_never_green(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path, stage: str, state: str
) -> None:
    mark(dag, new_run_id, stage, state, session)
    final = drive(dag, new_run_id, {}, no_context, session)
    assert stage not in stages.ran
    if (stage, state) == ("open_run", "skipped"):  # skips the receipt too: as if that were set by hand
        assert last_receipt(tmp_path) is None
    else:
        assert final == "failed"


def test_parts_that_stay_in_a_store_make_a_green_run_with_a_skipped_gather(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path
) -> None:
    stages.stays_in = "s3://bucket/runs/x/g1"
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    receipt = last_receipt(tmp_path)
    assert receipt is not None
    assert receipt.proven
    run = session.scalars(select(DagRun).where(DagRun.run_id == new_run_id)).one()
    states = {(ti.task_id, str(ti.state)) for ti in run.get_task_instances(session=session)}
    assert ("gather", "skipped") in states
    assert {state for task_id, state in states if task_id != "gather"} == {"success"}


def test_a_stage_can_not_skip_itself(dag: Any, session: Any, stages: Stages, new_run_id: str) -> None:
    stages.instead["preflight"] = skip
    assert drive(dag, new_run_id, {}, no_context, session) == "failed"


def test_an_empty_mapping_is_never_green(dag: Any, session: Any, stages: Stages, new_run_id: str) -> None:
    stages.nodes = []
    assert drive(dag, new_run_id, {}, no_context, session) == "failed"


def test_a_node_that_is_not_gathered_is_never_green(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path
) -> None:
    stages.nodes = ["node-a"]
    assert drive(dag, new_run_id, {}, no_context, session) == "failed"
    receipt = last_receipt(tmp_path)
    assert receipt is not None
    assert "node node-b was not gathered" in receipt.problems


@pytest.mark.parametrize("how", [fail, skip])
def test_a_receipt_that_fails_or_skips_fails_the_run(
    dag: Any, session: Any, stages: Stages, new_run_id: str, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    monkeypatch.setattr("ppml_ops.airflow.receipt.write_receipt", lambda *_a, **_k: how())
    assert drive(dag, new_run_id, {}, no_context, session) == "failed"


def test_a_receipt_marked_success_by_hand_leaves_no_receipt(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path
) -> None:
    """The one case that no arrangement survives: the run is green, so "no receipt" is shown (cli/summary)."""
    mark(dag, new_run_id, "receipt", "success", session)
    drive(dag, new_run_id, {}, no_context, session)
    assert last_receipt(tmp_path) is None


def test_transient_failures_are_retried_and_others_are_not(
    dag: Any, session: Any, stages: Stages, new_run_id: str
) -> None:
    def away_once() -> None:
        if stages.ran.count("merge") == 1:
            raise TransientError("away", next_step="wait")

    stages.instead["merge"] = away_once
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    assert stages.ran.count("merge") == 2

    stages.instead["merge"] = fail
    assert drive(dag, new_run_id + "-2", {}, no_context, session) == "failed"
    assert stages.ran.count("merge") == 3


@pytest.mark.parametrize(
    ("failed", "runs_again"),
    [("merge", True), ("decrypt", False)],  # clean_up took the parts that merge needs, not those of decrypt
)
def test_a_failed_run_goes_on_where_it_failed(
    dag: Any, session: Any, stages: Stages, new_run_id: str, failed: str, runs_again: bool
) -> None:
    stages.instead[failed] = fail
    assert drive(dag, new_run_id, {}, no_context, session) == "failed"
    stages.instead.clear()
    stages.ran.clear()
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    assert {"preflight", "generate_key", "attest"}.isdisjoint(stages.ran)
    assert ("submit" in stages.ran) is runs_again
    assert {"issue_ticket", failed, "verify_run", "retire_ticket", "clean_up"} <= set(stages.ran)


def test_a_run_killed_in_a_stage_goes_on_with_that_stage(
    dag: Any, session: Any, stages: Stages, new_run_id: str
) -> None:
    class Killed(BaseException):
        """What kill -9 looks like to everything below: no handler runs."""

    def around(task_instance: Any) -> Any:
        if task_instance.task_id == "submit":
            task_instance.set_state("running")
            raise Killed
        return no_context(task_instance)

    with pytest.raises(Killed):
        drive(dag, new_run_id, {}, around, session)
    before = list(stages.ran)
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    assert before[-1] == "attest"
    assert stages.ran[len(before)] == "submit", "nothing before it runs again"


def test_a_finished_run_is_left_alone(dag: Any, session: Any, stages: Stages, new_run_id: str) -> None:
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    stages.ran.clear()
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    assert stages.ran == []


def test_receipt_is_the_one_effective_leaf(dag: Any) -> None:
    leaves = [task for task in dag.tasks if not task.downstream_task_ids]
    assert [type(task) for task in leaves] == [WriteReceipt]
    assert leaves[0].on_failure_fail_dagrun

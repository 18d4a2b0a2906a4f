"""What a person does in the UI, under a real scheduler: trigger, clear, mark, stop, schedule, backfill."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ppml_ops.receipts.receipt import read_receipt, receipt_files
from tests.e2e.conftest import Cli
from tests.e2e.scheduler.conftest import Ui
from tests.support.airflow_rest import wait_until

pytestmark = [
    pytest.mark.e2e, pytest.mark.java, pytest.mark.airflow, pytest.mark.long, pytest.mark.timeout(900),
    pytest.mark.usefixtures("no_spark_left"),
]  # fmt: skip

DAG = "simple_query"
SETUPS = {"open_run", "issue_ticket"}
CLEANING = {"retire_ticket", "clean_up"}
Spark = Callable[[], set[int]]


@pytest.fixture(scope="module", autouse=True)
def unpaused(ui: Ui) -> None:
    """The DAG runs what it is told to; Airflow also starts last night's run, which has to end well."""
    ui.rest.pause(DAG, False)


@pytest.fixture(scope="module")
def finished(ui: Ui) -> str:
    """A run that ended well; the tests that clear use it one after the other."""
    run_id = trigger(ui, "2022-01-01", min_age=30)
    assert ui.rest.ended(DAG, run_id) == "success", ui.rest.states(DAG, run_id)
    return run_id


def trigger(ui: Ui, day: str, **conf: Any) -> str:
    """The trigger form with few rows; the run's id."""
    return str(ui.rest.trigger(DAG, {"rows": 50, "date": day} | conf)["dag_run_id"])


def again(ui: Ui, run_id: str, act: Callable[[], None]) -> tuple[str, set[str]]:
    """Do `act`, wait for the run's end: its state, and the tasks that ran again."""
    before = {name: one["start_date"] for name, one in ui.rest.tasks(DAG, run_id).items()}
    act()
    state = ui.rest.ended(DAG, run_id)
    after = ui.rest.tasks(DAG, run_id)
    return state, {name.split("[")[0] for name, one in after.items() if one["start_date"] != before.get(name)}


def started(ui: Ui, run_id: str, task: str) -> bool:
    """Whether a task of the run runs now or has run."""
    return bool(ui.rest.tasks(DAG, run_id)[task]["start_date"])


def newest(ui: Ui, run_id: str) -> Any:
    """The newest receipt of a run."""
    return read_receipt(receipt_files(ui.run(DAG, run_id).folder)[-1])


# -- triggering ------------------------------------------------------------------------------------------


def test_the_form_offers_the_parameters_and_refuses_what_does_not_fit(ui: Ui) -> None:
    params = ui.rest.call("GET", f"/api/v2/dags/{DAG}/details")["params"]
    assert set(params) == {
        "rows", "seed", "input_url", "input_key", "export_key",
        "min_age", "max_age", "job", "partitions", "profile", "date",
    }  # fmt: skip
    for conf in ({"rows": -1}, {"profile": "moon"}, {"date": "soon"}):
        ui.rest.trigger(DAG, conf, expect=400)
    assert all(run["run_type"] == "scheduled" for run in ui.rest.runs(DAG)), "no run was made"


def test_a_triggered_run_is_proven_on_its_page(ui: Ui, finished: str) -> None:
    page = ui.rest.proof(DAG, finished)
    assert ">PROVEN<" in page
    assert "SIMULATED" in page
    assert "data of 2022-01-01" in page
    assert ui.rest.tasks(DAG, finished)["submit"]["pool"] == "spark", "by docs/examples"
    assert not any(alert["run"] == finished for alert in ui.alerts)


def test_two_runs_of_one_date_at_once(ui: Ui) -> None:
    runs = [trigger(ui, "2022-01-02", seed=1), trigger(ui, "2022-01-02", seed=1)]
    assert [ui.rest.ended(DAG, run_id) for run_id in runs] == ["success", "success"]
    first, second = (ui.run(DAG, run_id) for run_id in runs)
    versions = [run.records.facts("merge")["versions"]["sim-simple-query"] for run in (first, second)]
    assert sorted(versions) == [1, 2]
    assert first.dataset("sim-people").versions() == [1], "the same input is sealed once"
    assert all(newest(ui, run_id).proven for run_id in runs)


# -- clearing: the table of airflow.md 9.3 ---------------------------------------------------------------


def test_clearing_decrypt_with_downstream_keeps_the_result(ui: Ui, finished: str) -> None:
    state, ran = again(ui, finished, lambda: ui.rest.clear(DAG, finished, "decrypt"))
    assert state == "success"
    assert ran == {"decrypt", "verify_run", "receipt"} | SETUPS | CLEANING
    assert newest(ui, finished).proven
    assert ui.run(DAG, finished).dataset("sim-simple-query").versions() == [1]


def test_clearing_submit_with_downstream_publishes_the_next_version(ui: Ui, finished: str) -> None:
    state, ran = again(ui, finished, lambda: ui.rest.clear(DAG, finished, "submit"))
    assert state == "success"
    assert ran == {"submit", "gather", "merge", "decrypt", "verify_run", "receipt"} | SETUPS | CLEANING
    assert newest(ui, finished).proven
    assert ui.run(DAG, finished).dataset("sim-simple-query").versions() == [1, 2]


def test_clearing_decrypt_alone_opens_the_same_result_and_stays_proven(ui: Ui, finished: str) -> None:
    """verify_run does not run again; ticket and result are what they were, so its record still fits."""
    state, ran = again(ui, finished, lambda: ui.rest.clear(DAG, finished, "decrypt", downstream=False))
    assert ran == {"decrypt", "receipt"} | SETUPS | CLEANING
    assert state == "success"
    assert newest(ui, finished).proven


def test_clearing_submit_alone_is_not_proven_until_the_rest_follows(ui: Ui, finished: str) -> None:
    state, ran = again(ui, finished, lambda: ui.rest.clear(DAG, finished, "submit", downstream=False))
    assert ran == {"submit", "receipt"} | SETUPS | CLEANING
    assert state == "failed"
    assert any("stale" in problem or "another result" in problem for problem in newest(ui, finished).problems)
    assert "NOT PROVEN" in ui.rest.proof(DAG, finished)

    state, ran = again(ui, finished, lambda: ui.rest.clear(DAG, finished, only_failed=True))
    assert state == "failed", "only the receipt failed, and its records are what they were"
    assert ran == {"receipt"}

    state, _ran = again(ui, finished, lambda: ui.rest.clear(DAG, finished, "submit"))
    assert state == "success"
    assert newest(ui, finished).proven


def test_clearing_a_teardown_alone_leaves_the_receipt(ui: Ui, finished: str) -> None:
    count = len(receipt_files(ui.run(DAG, finished).folder))
    state, ran = again(ui, finished, lambda: ui.rest.clear(DAG, finished, "clean_up", downstream=False))
    assert (state, ran) == ("success", {"clean_up"})
    assert len(receipt_files(ui.run(DAG, finished).folder)) == count


# -- states set by hand, and stopping: the matrix of airflow.md 9.1 --------------------------------------


@pytest.mark.parametrize(
    ("task", "state", "problem"),
    [
        ("generate_key", "skipped", "generate_key left no record"),
        ("encrypt_upload", "success", "encrypt_upload left no record"),
        ("attest", "success", "attest left no record"),
        ("verify_run", "success", "verify_run left no record"),
    ],
)
def test_a_stage_set_by_hand_makes_no_green_run(ui: Ui, task: str, state: str, problem: str) -> None:
    """Set while the run is at its beginning. Without input nothing is computed, whatever the state says."""
    source = {"input_url": "/nowhere/people.csv"} if task == "verify_run" else {}
    run_id = trigger(ui, "2022-01-03", **source)
    ui.rest.mark(DAG, run_id, state, task)
    assert ui.rest.ended(DAG, run_id) == "failed"
    assert any(problem in found for found in newest(ui, run_id).problems)
    (alert,) = [alert for alert in ui.alerts if alert["run"] == run_id]
    assert alert["dag"] == DAG
    assert "is not proven" in alert["why"]


def test_a_receipt_set_by_hand_is_green_and_shown_as_no_receipt(ui: Ui, command: Cli) -> None:
    """The one case that no arrangement of tasks survives."""
    run_id = trigger(ui, "2022-01-04", input_url="/nowhere/people.csv")
    ui.rest.mark(DAG, run_id, "success", "receipt")
    assert ui.rest.ended(DAG, run_id) == "success"
    assert "NO RECEIPT" in ui.rest.proof(DAG, run_id)
    shown = command("receipt", "show", ui.run(DAG, run_id).key)
    assert shown.returncode != 0
    assert "NO RECEIPT" in shown.stderr


@pytest.mark.parametrize("what", ["run failed", "run success", "submit failed"])
def test_stopping_in_the_ui_ends_spark_and_cleans_up(ui: Ui, no_spark_left: Spark, what: str) -> None:
    run_id = trigger(ui, "2022-01-05")
    wait_until(no_spark_left, 180, "Spark runs")
    kind, state = what.split()
    ui.rest.mark(DAG, run_id, state, None if kind == "run" else kind)
    wait_until(lambda: not no_spark_left(), 60, "no process of Spark is left")
    wait_until(lambda: started(ui, run_id, "receipt"), 120, "the receipt runs")
    assert ui.rest.ended(DAG, run_id) == "failed"
    states = ui.rest.states(DAG, run_id)
    assert states["retire_ticket"] == states["clean_up"] == "success"
    assert not newest(ui, run_id).proven
    assert "merge" not in ui.run(DAG, run_id).records.all()


# -- schedules and backfills -----------------------------------------------------------------------------


def test_schedules_with_and_without_catching_up(ui: Ui) -> None:
    for dag in ("catching_up", "only_latest"):
        ui.rest.pause(dag, False)
    wait_until(lambda: ui.rest.runs("only_latest"), 60, "the latest run is made")
    wait_until(lambda: len(ui.rest.runs("catching_up")) == 2, 400, "both missed runs are made, one by one")
    for dag in ("catching_up", "only_latest"):
        for run in ui.rest.runs(dag):
            assert ui.rest.ended(dag, run["dag_run_id"], 400) == "success"

    today = datetime.now(UTC).date()
    older, newer = ui.rest.runs("catching_up")
    assert older["end_date"] <= newer["start_date"], "max_active_runs=1"
    assert [ui.run("catching_up", run["dag_run_id"]).day for run in (older, newer)] == [
        today - timedelta(4), today - timedelta(3),
    ]  # fmt: skip
    (latest,) = ui.rest.runs("only_latest")
    over = datetime.now(UTC) >= datetime(today.year, today.month, today.day, 2, 30, tzinfo=UTC)
    assert ui.run("only_latest", latest["dag_run_id"]).day == today - timedelta(1 if over else 2)
    for dag, run in (("catching_up", older), ("catching_up", newer), ("only_latest", latest)):
        assert ">PROVEN<" in ui.rest.proof(dag, run["dag_run_id"])


def test_the_uis_backfill(ui: Ui) -> None:
    body = {
        "dag_id": DAG, "from_date": "2022-02-01T00:00:00Z", "to_date": "2022-02-02T23:59:59Z",
        "max_active_runs": 2, "dag_run_conf": {"rows": 50}, "run_backwards": False,
        "reprocess_behavior": "none",
    }  # fmt: skip
    number = ui.rest.call("POST", "/api/v2/backfills", body)["id"]

    def ours() -> list[Any]:
        return [run for run in ui.rest.runs(DAG) if run["run_type"] == "backfill"]

    wait_until(lambda: len(ours()) == 2, 60, "both runs are made")
    runs = [run["dag_run_id"] for run in ours()]
    assert [ui.rest.ended(DAG, run_id) for run_id in runs] == ["success", "success"]
    assert sorted(ui.run(DAG, run_id).day for run_id in runs) == [date(2022, 2, 1), date(2022, 2, 2)]
    wait_until(lambda: ui.rest.call("GET", f"/api/v2/backfills/{number}")["completed_at"], 90, "it is closed")


def test_our_backfill_hands_over_to_the_scheduler_that_runs(ui: Ui, command: Cli) -> None:
    wanted = ("backfill", DAG, "--from", "2022-03-01", "--to", "2022-03-01", "-c", "rows=50", "--json")
    ui.rest.pause(DAG, True)
    refused = command(*wanted)
    ui.rest.pause(DAG, False)
    assert refused.returncode == 78
    assert "is paused in the Airflow that runs" in refused.stderr

    done = command(*wanted)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (run,) = [run for run in ui.rest.runs(DAG) if run["run_after"].startswith("2022-03-02")]
    assert (run["run_type"], run["state"]) == ("backfill", "success")
    assert command("run", DAG).returncode == 78, "a headless run beside a scheduler is refused"


def test_no_scheduled_run_was_made_but_the_latest(ui: Ui) -> None:
    scheduled = [run for run in ui.rest.runs(DAG) if run["run_type"] == "scheduled"]
    assert len(scheduled) == 1
    assert ui.rest.ended(DAG, scheduled[0]["dag_run_id"]) == "success"

"""Task states that a person set by hand, and parameters that don't fit: no result, and no green run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.lifecycle.run import Run, find_run
from ppml_ops.receipts.receipt import read_receipt, receipt_files
from tests.e2e.conftest import PROJECT

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.airflow]

DAY = "2024-03-{:02d}"
CASES: dict[str, dict[str, Any]] = {
    "attest marked": {"conf": {}, "mark": {"after": "distribute", "task": "attest"}},
    "submit marked": {"conf": {}, "mark": {"after": "attest", "task": "submit"}},
    "gather marked": {"conf": {}, "mark": {"after": "submit", "task": "gather"}},
    "ages the wrong way round": {"conf": {"min_age": 41, "max_age": 40}},
    "a day to come": {"conf": {"date": "2999-01-01"}},
    "no Java": {"conf": {}, "environment": {"JAVA_HOME": "/nowhere"}},
    "unknown profile": {"conf": {"profile": "moon"}},
    "rows below zero": {"conf": {"rows": -1}},
    "no date": {"conf": {"date": "yesterday"}},
}

Results = dict[str, dict[str, Any]]


def _run_id(case: str) -> str:
    return case.replace(" ", "-")


@pytest.fixture(scope="module")
def results(home: Path, environment: dict[str, str]) -> Results:
    """All cases, one after the other in one Airflow."""
    cases = [
        {"run_id": _run_id(name), "conf": {"rows": 50, "date": DAY.format(n)} | case["conf"]}
        | {key: value for key, value in case.items() if key != "conf"}
        for n, (name, case) in enumerate(CASES.items(), start=1)
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.airflow_process", str(home), str(PROJECT / "dags")],
        cwd=PROJECT,
        env=environment,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("attest marked", "stage attest has not run"),
        ("submit marked", "stage submit has not run"),
        ("gather marked", "stage gather@node-a has not run"),
    ],
)
def test_a_state_set_by_hand_yields_no_result(home: Path, results: Results, case: str, reason: str) -> None:
    result = results[case]
    assert result["tasks"][case.split()[0]] == "success"
    assert result["state"] == "failed"
    assert reason in result["log"]
    run = _run(home, case)
    assert run.dataset("sim-simple-query").versions() == []
    assert not list(run.plaintext.rglob("*.csv"))
    receipt = read_receipt(receipt_files(run.folder)[-1])
    assert not receipt.proven
    stage = case.split()[0]
    assert f"{stage} left no record: it did not run" in receipt.problems
    assert result["tasks"]["receipt"] == "failed"
    assert result["tasks"]["clean_up"] == result["tasks"]["retire_ticket"] == "success"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("ages the wrong way round", "the age range 41 to 40 is empty"),
        ("a day to come", "the date 2999-01-01 lies in the future"),
        ("no Java", "no Java: looked at $JAVA_HOME (/nowhere)"),
    ],
)
def test_a_run_that_cannot_begin_says_why(home: Path, results: Results, case: str, reason: str) -> None:
    result = results[case]
    assert result["state"] == "failed"
    assert reason in result["log"]
    assert "To do for the operator: " in result["log"]
    assert result["tasks"]["encrypt_upload"] != "success"
    run = find_run(home, "simple_query", _run_id(case))
    if run is not None:
        assert run.dataset("sim-people").versions() == []


@pytest.mark.parametrize(
    ("case", "reason"), [("unknown profile", "moon"), ("rows below zero", "-1"), ("no date", "yesterday")]
)
def test_parameters_outside_the_form_make_no_run(results: Results, case: str, reason: str) -> None:
    assert reason in results[case]["refused"]
    assert "trigger form" in results[case]["refused"]


def _run(home: Path, case: str) -> Run:
    run = find_run(home, "simple_query", _run_id(case))
    assert run is not None
    return run

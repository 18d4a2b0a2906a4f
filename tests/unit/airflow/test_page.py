"""The proof page says what is proven, loudly says what is not, and escapes everything."""

from datetime import date
from pathlib import Path

from ppml_ops.airflow.ui.page import proof_page
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.receipt import Receipt
from ppml_ops.receipts.records import Failure, StageRecord

RUN = Run(
    home=Path("/h"),
    storage="/s",
    dag_id="d",
    run_id="r",
    run_type="manual",
    day=date(2026, 11, 20),
    profile_name="local",
)
ATTEST = StageRecord(
    stage="attest",
    outcome="done",
    started=1.0,
    finished=2.5,
    facts={"simulated": True, "attested": True, "allow": True},
)


def receipt(*, proven: bool, problems: tuple[str, ...] = ()) -> Receipt:
    return Receipt(
        run={},
        written=3.0,
        proven=proven,
        problems=problems,
        zones_isolated=False,
        records=(ATTEST,),
        previous=None,
    )


def test_a_proven_run_shows_its_receipt_and_that_it_was_simulated() -> None:
    page = proof_page("d", "r", RUN, receipt(proven=True), [])
    assert ">PROVEN<" in page
    assert ">SIMULATED<" in page
    assert receipt(proven=True).digest in page
    assert "Zones not isolated" in page


def test_no_receipt_and_unproven_runs_are_loud() -> None:
    assert "NO RECEIPT" in proof_page("d", "r", RUN, None, [ATTEST])
    page = proof_page("d", "r", RUN, receipt(proven=False, problems=("merge failed: reason",)), [])
    assert "NOT PROVEN" in page
    assert "merge failed: reason" in page


def test_everything_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    failure = Failure(kind="X", what=evil, who=evil, next_step=evil)
    failed = StageRecord(stage="submit", outcome="failed", started=1.0, finished=2.0, failure=failure)
    page = proof_page(evil, evil, None, receipt(proven=False, problems=(evil,)), [failed])
    assert "<script>" not in page + proof_page(evil, evil, None, None, [failed])

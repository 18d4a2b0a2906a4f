"""The proof page says what is proven, loudly says what is not, and escapes everything."""

from pathlib import Path

import pytest

from ppml_ops.airflow.ui.page import proof_page
from ppml_ops.receipts.receipt import Receipt
from ppml_ops.receipts.records import Failure, StageRecord
from ppml_ops.receipts.standing import NO_RECEIPT, Standing, Word
from tests.support.proof import Proof, run_in

PROOF = Proof(run_in(Path("/h")))
RECEIPT = Receipt.parse(PROOF.receipt())
RUN = PROOF.run


def test_a_proven_run_shows_its_receipt_its_signer_and_that_it_was_simulated() -> None:
    page = proof_page("d", "r", RUN, Standing(Word.PROVEN, (), RECEIPT), [])
    for text in (
        ">PROVEN<",
        ">SIMULATED<",
        RECEIPT.digest,
        f"signed by {RECEIPT.signer}",
        "Zones not isolated",
    ):
        assert text in page


@pytest.mark.parametrize("word", [word for word in Word if word is not Word.PROVEN])
def test_everything_else_is_loud(word: Word) -> None:
    receipt = None if word is Word.NO_RECEIPT else RECEIPT
    page = proof_page("d", "r", RUN, Standing(word, ("the reason",), receipt), [PROOF.records()[0]])
    assert f"<span class='mark bad'>{word}<" in page
    assert "the reason" in page
    assert "mark good" not in page
    assert ("signature does not verify" in page) == (word is Word.BAD_SIGNATURE)


def test_a_run_without_receipt_shows_its_records_so_far() -> None:
    assert "open_run" in proof_page("d", "r", RUN, NO_RECEIPT, PROOF.records())


def test_everything_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    failure = Failure(kind="X", what=evil, who=evil, next_step=evil)
    failed = StageRecord(stage="submit", outcome="failed", started=1.0, finished=2.0, failure=failure)
    page = proof_page(evil, evil, None, Standing(Word.STALE, (evil,), RECEIPT), [failed])
    assert "<script>" not in page

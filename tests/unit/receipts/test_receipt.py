"""Writing receipts, and how a run stands with them in its state folder."""

import threading
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.evidence import collect_evidence
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.evidence import Evidence
from ppml_ops.receipts.receipt import Receipt, read_receipt, receipt_files, write_receipt
from ppml_ops.receipts.signer import known_signers, receipt_signer
from ppml_ops.receipts.standing import Standing, Word, standing_of
from ppml_ops.receipts.verify import verify_chain
from tests.support.proof import Proof, run_in


@pytest.fixture
def proof(tmp_path: Path) -> Proof:
    """A run whose records and evidence lie where the life cycle leaves them."""
    made = Proof(run_in(tmp_path).save())
    made.store()
    for record in made.records():
        made.run.records._write(record)
    return made


def write(run: Run) -> Receipt:
    signer = receipt_signer(run.home)
    return write_receipt(run.folder, run.records, run.identity, collect_evidence(run), signer, now=1.0)


def standing(run: Run) -> Standing:
    return standing_of(run.home, run.folder, run.records.all())


def test_what_the_life_cycle_left_proves_the_run(proof: Proof) -> None:
    receipt = write(proof.run)
    assert receipt.problems == ()
    assert standing(proof.run).word is Word.PROVEN
    anchors = proof.anchors.model_copy(
        update={"receipt_signers": (receipt_signer(proof.run.home).as_dict(private=False),)}
    )
    data = (proof.run.folder / "receipt.json").read_bytes()
    assert verify_chain([data], anchors).proven
    assert data == receipt.encode()


def test_the_key_is_private_made_once_and_refused_when_others_can_read_it(tmp_path: Path) -> None:
    keys = []
    threads = [threading.Thread(target=lambda: keys.append(receipt_signer(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({key.thumbprint() for key in keys}) == 1
    assert list(known_signers(tmp_path)) == [keys[0].thumbprint()]
    path = tmp_path / "receipts" / "signing-key.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others on this machine"):
        receipt_signer(tmp_path)


def test_receipts_of_a_replaced_key_still_verify_here(proof: Proof) -> None:
    write(proof.run)
    (proof.run.home / "receipts" / "signing-key.json").unlink()
    receipt_signer(proof.run.home)
    assert standing(proof.run).proven


def test_a_run_without_evidence_gets_a_receipt_that_says_so(proof: Proof) -> None:
    for path in (proof.run.folder / "releases").iterdir():
        path.write_text("[]")
    receipt = write(proof.run)
    assert any("release records" in problem for problem in receipt.problems)
    assert standing(proof.run).word is Word.NOT_PROVEN


@pytest.mark.parametrize("damaged", ["tickets", "releases"])
def test_damaged_evidence_is_left_out_and_named(proof: Proof, damaged: str) -> None:
    for path in (proof.run.folder / damaged).iterdir():
        path.write_bytes(b"\xff{")
    assert write(proof.run).problems


def test_receipts_are_chained_also_after_a_damaged_one(proof: Proof) -> None:
    first = write(proof.run)
    second = write(proof.run)
    assert [path.name for path in receipt_files(proof.run.folder)] == ["receipt.json", "receipt-2.json"]
    assert (second.number, second.previous) == (2, first.digest)
    (proof.run.folder / "receipt-2.json").write_bytes(b"damaged")
    assert write(proof.run).number == 3


def test_parallel_writers_make_one_chain(proof: Proof) -> None:
    threads = [threading.Thread(target=write, args=(proof.run,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receipts = [read_receipt(path) for path in receipt_files(proof.run.folder)]
    assert [receipt.number for receipt in receipts] == [1, 2, 3, 4, 5, 6]
    assert [receipt.previous for receipt in receipts[1:]] == [receipt.digest for receipt in receipts[:-1]]


def test_no_receipt_is_a_standing(proof: Proof) -> None:
    assert standing(proof.run).word is Word.NO_RECEIPT


def test_a_receipt_older_than_the_records_is_stale(proof: Proof) -> None:
    """As after a clear when the receipt task is marked success by hand."""
    write(proof.run)
    with proof.run.records.recording("clean_up") as facts:
        facts.update(proof.facts("clean_up"))
    found = standing(proof.run)
    assert found.word is Word.STALE
    assert "clean_up ran after it was written" in found.why[0]
    write(proof.run)
    assert standing(proof.run).proven


def test_a_changed_receipt_is_named(proof: Proof) -> None:
    write(proof.run)
    path = proof.run.folder / "receipt.json"
    path.write_bytes(path.read_bytes().replace(b'"written":1', b'"written":2'))
    assert standing(proof.run).word is Word.BAD_SIGNATURE


def test_a_receipt_of_another_installation_is_named(proof: Proof) -> None:
    write(proof.run)
    (proof.run.folder / "receipt.json").write_bytes(proof.receipt())
    assert standing(proof.run).word is Word.BAD_SIGNATURE


def test_an_older_receipt_in_the_place_of_the_newest_is_named(proof: Proof) -> None:
    write(proof.run)
    write(proof.run)
    old = (proof.run.folder / "receipt.json").read_bytes()
    (proof.run.folder / "receipt-2.json").write_bytes(old)
    assert standing(proof.run).word is Word.BAD_SIGNATURE
    (proof.run.folder / "receipt.json").unlink()
    assert standing(proof.run).word is Word.BAD_SIGNATURE


def test_the_receipt_of_a_run_that_did_nothing(tmp_path: Path) -> None:
    run = run_in(tmp_path).save()
    signer = receipt_signer(tmp_path)
    receipt = write_receipt(run.folder, run.records, run.identity, Evidence(), signer, now=1.0)
    assert not receipt.proven
    assert standing(run).word is Word.NOT_PROVEN

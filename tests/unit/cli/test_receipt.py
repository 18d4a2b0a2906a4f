"""`ppml-ops receipt` as its users meet it: offline, with exit codes, and loud where it must be."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from ppml_ops.cli.summary import Outcome, show_summary, summarise_run
from ppml_ops.lifecycle.evidence import collect_evidence
from ppml_ops.receipts.receipt import write_receipt
from ppml_ops.receipts.signer import receipt_signer
from tests.support.proof import Proof, run_in
from tests.unit.cli.conftest import Cli

PROOF = Proof(run_in(Path("/h")))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A receipt and anchors, as they reach a third party."""
    receipt, anchors = tmp_path / "receipt.json", tmp_path / "anchors.json"
    receipt.write_bytes(PROOF.receipt())
    anchors.write_text(json.dumps(PROOF.anchors.document()))
    return receipt, anchors


@pytest.fixture
def run_here(tmp_path: Path) -> Proof:
    """A proven run in the state folder of `ppml`."""
    proof = Proof(run_in(tmp_path / "state").save())
    proof.store()
    for record in proof.records():
        proof.run.records._write(record)
    write(proof)
    return proof


def write(proof: Proof) -> None:
    run = proof.run
    signer = receipt_signer(run.home)
    write_receipt(run.folder, run.records, run.identity, collect_evidence(run), signer, now=1.0)


def test_verify_says_proven_authentic_and_simulated(ppml: Cli, files: tuple[Path, Path]) -> None:
    done = ppml("receipt", "verify", files[0], "--trust", files[1])
    assert done.code == 0, done.err
    for text in (
        "PROVEN and authentic",
        "SIMULATED",
        PROOF.run.key,
        PROOF.signer.thumbprint(),
        "zones not isolated",
    ):
        assert text in done.out


def test_the_three_outcomes_have_their_own_exit_codes(ppml: Cli, files: tuple[Path, Path]) -> None:
    receipt, anchors = files
    failed = {"proven": False, "problems": ["merge failed: disk"]}
    receipt.write_bytes(PROOF.receipt(**failed))
    done = ppml("receipt", "verify", receipt, "--trust", anchors)
    assert done.code == 1
    assert "NOT PROVEN and authentic merge failed: disk" in done.out
    receipt.write_bytes(PROOF.receipt().replace(b'"proven":true', b'"proven":"rue'))
    assert ppml("receipt", "verify", receipt, "--trust", anchors).code == 76
    assert ppml("receipt", "verify", receipt, "--trust", receipt.with_name("none")).code == 78
    assert ppml("receipt", "verify", receipt.with_name("none"), "--trust", anchors).code == 78


def test_verify_for_machines(ppml: Cli, files: tuple[Path, Path]) -> None:
    found = json.loads(ppml("receipt", "verify", files[0], "--trust", files[1], "--json").out)
    assert (found["authentic"], found["proven"], found["chain_is_whole"]) == (True, True, True)


def test_show_reads_well(ppml: Cli, run_here: Proof) -> None:
    done = ppml("receipt", "show", run_here.run.key)
    assert done.code == 0, done.err
    for text in (
        "PROVEN",
        "SIMULATED",
        "signed by",
        "release 2 to",
        "local:sim-people?version=1",
        "gather@node-b",
    ):
        assert text in done.out


def test_show_of_a_stale_receipt_is_loud(ppml: Cli, run_here: Proof) -> None:
    with run_here.run.records.recording("clean_up"):
        pass
    done = ppml("receipt", "show", run_here.run.key)
    assert done.code == 1
    assert "STALE RECEIPT" in done.out
    assert json.loads(ppml("receipt", "show", run_here.run.key, "--json").out)["standing"] == "STALE RECEIPT"


def test_show_of_a_changed_receipt_is_loud(ppml: Cli, run_here: Proof) -> None:
    path = run_here.run.folder / "receipt.json"
    path.write_bytes(path.read_bytes().replace(b'"written":1', b'"written":2'))
    for argument in (run_here.run.key, path):
        done = ppml("receipt", "show", argument)
        assert done.code == 1
        assert "SIGNATURE DOES NOT VERIFY" in done.out


@pytest.mark.parametrize("state", ["no receipt", "stale", "changed"])
def test_a_green_run_without_a_good_receipt_is_no_success(
    run_here: Proof, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a receipt task that was marked success by hand leaves."""
    path = run_here.run.folder / "receipt.json"
    if state == "no receipt":
        path.unlink()
    elif state == "changed":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        with run_here.run.records.recording("submit"):
            pass
    summary = summarise_run(run_here.run, Outcome("success", "d", "r", []), 1.0)
    assert not summary.succeeded
    assert summary.as_json()["proof"] != "PROVEN"
    show_summary(Console(width=200), summary)
    assert summary.standing.word in capsys.readouterr().out


def test_a_dag_that_writes_no_receipt_is_judged_by_airflow_alone(capsys: pytest.CaptureFixture[str]) -> None:
    good = summarise_run(None, Outcome("success", "maintenance", "r", [], writes_receipt=False), 1.0)
    assert good.succeeded
    show_summary(Console(width=200), good)
    assert capsys.readouterr().out == "success in 1.0 s\n"
    assert not summarise_run(
        None, Outcome("failed", "maintenance", "r", [], writes_receipt=False), 1.0
    ).succeeded
    assert not summarise_run(None, Outcome("success", "d", "r", []), 1.0).succeeded

"""The receipt of a real run, verified by somebody who has nothing but the file and the anchors."""

import json
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import IntegrityError
from ppml_ops.receipts.anchors import Anchors
from ppml_ops.receipts.receipt import receipt_files
from ppml_ops.receipts.signed import sign_document
from ppml_ops.receipts.signer import receipt_signer
from ppml_ops.receipts.verify import verify_chain, verify_receipt
from tests.e2e.conftest import Cli
from tests.support.life_cycle import LifeCycle

pytestmark = [pytest.mark.e2e, pytest.mark.java]


def test_a_third_party_verifies_a_run_and_nobody_can_claim_one(home: Path, day: date, command: Cli) -> None:
    life = LifeCycle(home, day, name="for a third party")
    assert life.finish().problems == ()
    printed = command("receipt", "anchors")
    assert printed.returncode == 0, printed.stderr
    assert receipt_signer(home).thumbprint() in printed.stderr
    anchors = Anchors.parse(printed.stdout.encode())
    data = receipt_files(life.run.folder)[-1].read_bytes()
    verified = verify_receipt(data, anchors)
    assert verified.proven
    assert verified.simulated
    releases = verified.receipt.evidence.releases
    assert len(releases) == 2, "one for the entry point, one for the driver"

    # The orchestrator itself, with its key, tells of a run that the broker released nothing for.
    document = json.loads(data)
    document["evidence"]["releases"] = []
    for record in document["records"]:
        if record["stage"] == "submit":
            record["facts"]["releases"] = []
    with pytest.raises(IntegrityError, match="says proven, but the broker has no record"):
        verify_receipt(canonical_json(sign_document(document, receipt_signer(home))), anchors)

    # Cleared and judged again: both receipts together are one chain.
    life.job_is_done = True
    for stage in ("open_run", "issue_ticket", "decrypt", "verify_run", "retire_ticket", "clean_up"):
        life.stage(stage)
    assert life.receipt().number == 2
    files = [path.read_bytes() for path in receipt_files(life.run.folder)]
    assert verify_chain(files, anchors).chain_is_whole

"""Verify receipts offline, with nothing but trust anchors. Pure: bytes in, a verdict or an error out.

In this order: the receipt signer's signature, the owner's on the ticket, the broker's on every release record;
then the whole judgement anew. An orchestrator with the receipt key can write any records; it can't write a
ticket or a release.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ppml_ops.broker.audit_record import AuditRecord
from ppml_ops.broker.tickets import authentic_ticket
from ppml_ops.canonical import sha256_hex
from ppml_ops.errors import DeniedError
from ppml_ops.receipts.anchors import Anchors, by_thumbprint
from ppml_ops.receipts.receipt import Receipt
from ppml_ops.receipts.signed import parse_document, untrue, verify_document


class Verified(NamedTuple):
    """An authentic receipt; `problems` keep it from proving its run."""

    receipt: Receipt
    problems: tuple[str, ...]
    simulated: bool
    former: int
    """How many former receipts of the run were verified with it."""

    @property
    def proven(self) -> bool:
        """The run did what its DAG says."""
        return not self.problems

    @property
    def chain_is_whole(self) -> bool:
        """Every receipt from the first one was there."""
        return self.former == self.receipt.number - 1


def verify_receipt(data: bytes, anchors: Anchors) -> Verified:
    """The receipt in `data`, if everything in it is what it says.

    Raises:
        IntegrityError: with the first thing that is not.
    """
    what = "the receipt"
    verify_document(parse_document(data, what), by_thumbprint(anchors.receipt_signers), what)
    receipt = Receipt.parse(data)
    ticket = _check_ticket(receipt, anchors)
    _check_releases(receipt.evidence.releases, ticket, anchors)
    problems = receipt.judge()
    if receipt.proven and problems:
        raise untrue(what, f"it says proven, but {problems[0]}")
    return Verified(receipt, receipt.problems if not receipt.proven else (), anchors.simulated, 0)


def verify_chain(files: Sequence[bytes], anchors: Anchors) -> Verified:
    """The newest of a run's receipts, verified with all those that are given of it, oldest first.

    Raises:
        IntegrityError: one is not authentic, of another run, or does not follow the one before it.
    """
    verified = [verify_receipt(data, anchors) for data in files]
    first, last = verified[0].receipt, verified[-1]
    if (first.number == 1) != (first.previous is None):
        raise untrue("the chain", f"receipt {first.number} is not where its number says")
    for before, data, after in zip(verified, files, verified[1:], strict=False):
        if after.receipt.run.run_key != before.receipt.run.run_key:
            raise untrue("the chain", f"receipt {after.receipt.number} is of another run")
        if after.receipt.number != before.receipt.number + 1 or after.receipt.previous != sha256_hex(data):
            raise untrue(
                "the chain",
                f"receipt {after.receipt.number} does not follow receipt {before.receipt.number} of the run",
            )
    return last._replace(former=len(verified) - 1)


def _check_ticket(receipt: Receipt, anchors: Anchors) -> str | None:
    """Id of the ticket, None for a run that got none."""
    text = receipt.evidence.ticket
    if text is None:
        return None
    owners = by_thumbprint(anchors.owner_keys)
    try:
        claims = authentic_ticket(text, owners=owners, trust_domain=anchors.trust_domain)
    except DeniedError as error:
        raise untrue("the receipt", error.what) from None
    if claims.run_key != receipt.run.run_key:
        raise untrue("the receipt", "its ticket is of another run")
    return claims.jti


def _check_releases(records: Sequence[AuditRecord], ticket: str | None, anchors: Anchors) -> None:
    """Those of a failed run too: a release under this ticket is a fact, whatever came of it."""
    keys = [key.raw_value for key in by_thumbprint(anchors.broker_keys).values()]
    last = -1
    for number, record in enumerate(records, 1):
        if not any(isinstance(key, Ed25519PublicKey) and _signed_by(record, key) for key in keys):
            raise untrue("the receipt", f"release record {number} is not signed by the broker")
        if record.body.trust_domain != anchors.trust_domain:
            raise untrue("the receipt", f"release record {number} is of another trust domain")
        if record.body.get("ticket") != ticket:
            raise untrue("the receipt", f"release record {number} is of another ticket")
        if record.body.seq <= last:
            raise untrue("the receipt", f"release record {number} is out of order")
        last = record.body.seq


def _signed_by(record: AuditRecord, key: Ed25519PublicKey) -> bool:
    try:
        record.verify(key)
    except ValueError:
        return False
    return True

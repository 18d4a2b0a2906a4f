"""RCAR evidence → claims: decode what the client sent and appraise it against its runtime data."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import ValidationError

from ppml_ops.attestation.appraise import appraise
from ppml_ops.attestation.claims import Claims
from ppml_ops.attestation.collateral import Collateral
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.layout import parse_layout
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.broker.archive import Archive
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.rcar.kbs_v0_4 import (
    MAX_QUOTE,
    QuoteEvidence,
    RuntimeData,
    SampleEvidence,
    TeeEvidence,
    report_data,
    runtime_digest,
)
from ppml_ops.canonical import b64d
from ppml_ops.errors import DeniedError

FindCollateral = Callable[[bytes], Collateral]
"""Quote → collateral for its platform."""

SAMPLE = "sample"
_QUOTED = ("tdx", "sgx")


@dataclass
class Appraised:
    """What was looked at, for the audit record, and the claims when it was accepted (None: `sample`)."""

    quote: bytes | None = None
    event_log: bytes | None = None
    collateral: bytes | None = None
    claims: Claims | None = None

    def archive(self, archive: Archive) -> dict[str, Any]:
        """Keep the documents; returns their digests as members of an audit record."""
        return {
            "quote": archive.put(self.quote) if self.quote else None,
            "event_log": archive.put(self.event_log) if self.event_log else None,
            "collateral": archive.put(self.collateral) if self.collateral else None,
            "claims_digest": archive.put(self.claims.model_dump_json().encode()) if self.claims else None,
        }


def check_tee(tee: str, domain: TrustDomain, *, with_ticket: bool) -> None:
    """Refuse kinds of TEE that can never pass, before a challenge is made.

    Raises:
        RcarError: unknown TEE, `sample` outside a simulated domain or with a ticket.
    """
    if tee == SAMPLE:
        if not domain.simulated:
            raise RcarError("AttestationError", "tee sample is refused: this broker is not a simulated one")
        if with_ticket:
            raise RcarError("AttestationError", "tee sample proves nothing and gets no ticketed keys")
    elif tee not in (*_QUOTED, "none"):
        raise RcarError("AttestationError", f"tee {tee} is not supported; known: tdx, sgx, none")


def appraise_evidence(
    tee: str,
    runtime: RuntimeData,
    evidence: TeeEvidence,
    *,
    domain: TrustDomain,
    find_collateral: FindCollateral,
    now: int,
    seen: Appraised,
) -> None:
    """Appraise and fill `seen`, also with what had been looked at when it refuses.

    Raises:
        PpmlError: AppraisalError when the evidence is refused, TransientError when collateral is away.
        RcarError: malformed primary evidence.
    """
    if tee == SAMPLE:
        _check_sample(runtime, evidence)
        return
    if tee == "none":
        sent = Evidence("none", b"")
    else:
        seen.quote, seen.event_log = _decode(evidence)
        seen.quote = parse_layout(seen.quote).quote  # without padding
        sent = Evidence(cast(Literal["tdx", "sgx"], tee), seen.quote, seen.event_log)
    collateral = None if tee == "none" else find_collateral(sent.quote)
    seen.collateral = collateral.to_json() if collateral else None
    expected = report_data(runtime, evidence.additional_evidence)
    seen.claims = appraise(sent, collateral, report_data=expected, now=now, domain=domain)


def _decode(evidence: TeeEvidence) -> tuple[bytes, bytes | None]:
    try:
        primary = QuoteEvidence.model_validate(evidence.primary_evidence)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RcarError("AttestationError", f"primary_evidence: {where}: {first['msg']}") from None
    quote = b64d(primary.quote)
    if len(quote) > MAX_QUOTE:
        raise RcarError("AttestationError", f"the quote is longer than {MAX_QUOTE} bytes")
    return quote, b64d(primary.cc_eventlog) if primary.cc_eventlog is not None else None


def _check_sample(runtime: RuntimeData, evidence: TeeEvidence) -> None:
    try:
        sample = SampleEvidence.model_validate(evidence.primary_evidence)
    except ValidationError:
        raise RcarError("AttestationError", "primary_evidence is not that of tee sample") from None
    if not hmac.compare_digest(b64d(sample.report_data), runtime_digest(runtime, evidence.additional_evidence)):
        raise DeniedError(
            "the sample evidence's report data is not what was asked for", next_step="repeat the handshake"
        )

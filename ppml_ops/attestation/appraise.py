"""Evidence → claims: a pure function of evidence, collateral, time and trust domain.

dcap-qvl verifies the signatures, chains, CRLs and TCB level; this module asks it for claims only and adds what
it does not do: the quote's end, freshness (report data), the replay of the event log, and the markers that keep
simulated and real evidence apart. Whether the claims are good enough is the policy's decision.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dcap_qvl
from cryptography import x509
from cryptography.x509.oid import NameOID

from ppml_ops.attestation.claims import Claims
from ppml_ops.attestation.collateral import Collateral
from ppml_ops.attestation.errors import (
    EventLogError,
    MarkerError,
    QuoteRefusedError,
    ReportDataError,
    UndecodableQuoteError,
    WrongCollateralError,
    refusal,
)
from ppml_ops.attestation.evidence import Evidence, check_report_data
from ppml_ops.attestation.layout import QuoteLayout, parse_layout
from ppml_ops.attestation.measure import JOB_EVENT, JOB_IMR, RUNNER_EVENT, Event, parse_event_log, replay
from ppml_ops.attestation.trust import (
    SIMULATED_FMSPC,
    SIMULATED_ORGANIZATION,
    SIMULATED_USER_DATA,
    TrustDomain,
)

_MAX_TIME = 1 << 40  # seconds; far beyond any certificate, and inside every integer of the verifier
_TD_FIELDS = (
    "mr_td", "mr_seam", "mr_signer_seam", "mr_config_id", "mr_owner", "mr_owner_config",
    "td_attributes", "xfam",
)  # fmt: skip
_ENCLAVE_FIELDS = ("mr_enclave", "mr_signer", "isv_prod_id", "isv_svn")
_REPORTS = ("SgxEnclave", "TD10", "TD15")


def appraise(
    evidence: Evidence,
    collateral: Collateral | None,
    *,
    report_data: bytes,
    now: int,
    domain: TrustDomain,
) -> Claims:
    """Verify evidence and return what it proves.

    Args:
        evidence: what the TEE showed; for tee "none" the claims say UNATTESTED and nothing else is looked at.
        collateral: for the quote's platform; None only for tee "none".
        report_data: the 64 bytes that the quote must carry, from the challenge.
        now: Unix seconds at which everything must be valid.
        domain: whose root must have signed.

    Raises:
        AppraisalError: one subclass per cause, see `ppml_ops.attestation.errors`.
    """
    if evidence.tee == "none":
        return Claims.unattested(trust_domain=domain.id, simulated=domain.simulated, verified_at=now)
    layout = parse_layout(evidence.quote)
    if layout.tee != evidence.tee:
        raise UndecodableQuoteError(f"the evidence says {evidence.tee}, its quote is of {layout.tee}")
    if collateral is None:
        raise WrongCollateralError("there is no collateral for this quote")
    check_report_data(report_data)
    if not hmac.compare_digest(layout.report_data, report_data):
        raise ReportDataError("the quote's report data is not what was asked for")
    verified, used = _verify(layout, collateral, now, domain)
    report = _report(verified)
    events = _replayed(evidence.event_log, report) if layout.tee == "tdx" else None
    claims = _claims(layout, verified, report, events, used, now, domain)
    if events is None or evidence.event_log is None:
        return claims
    return claims.model_copy(update={"event_log_sha256": hashlib.sha256(evidence.event_log).hexdigest()})


def _verify(
    layout: QuoteLayout, collateral: Collateral, now: int, domain: TrustDomain
) -> tuple[dict[str, Any], Collateral]:
    """dcap-qvl's claims, and the collateral that was really used."""
    if not 0 <= now < _MAX_TIME:
        raise QuoteRefusedError(f"{now} is not a time to verify at")
    with _refusals():
        chain = dcap_qvl.parse_quote(layout.quote).cert_chain_pem_bytes()
        if chain:
            # The verifier prefers a chain in the collateral to the quote's own; it may be another platform's.
            collateral = collateral.without_pck_chain()
        bundle = dcap_qvl.QuoteCollateralV3.from_json(collateral.to_json().decode())
        policy = dcap_qvl.QuotePolicy.claims_only(now)
        # Of a refused chain the call below gives no cause; this one does (expired, revoked, unknown).
        dcap_qvl.verify_with_root_ca(layout.quote, bundle, domain.root_der, now)
        claims = dcap_qvl.QuoteVerifier(domain.root_der).verify_with_policy(layout.quote, bundle, now, policy)
        verified = json.loads(claims.to_json())
    _check_markers(layout, verified, chain or (collateral.pck_certificate_chain or "").encode(), domain)
    return verified, collateral


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what dcap-qvl raises into our errors."""
    try:
        yield
    except ValueError as error:
        raise refusal(str(error)) from error
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        # A panic in the Rust code; it derives from BaseException and would end a server's thread.
        raise QuoteRefusedError("the verifier failed on this evidence") from error


def _check_markers(layout: QuoteLayout, verified: dict[str, Any], chain: bytes, domain: TrustDomain) -> None:
    """All markers in a simulated domain, none in the production domain."""
    try:
        names = [
            [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
            for certificate in x509.load_pem_x509_certificates(chain.rstrip(b"\0"))
        ]
    except ValueError as error:
        raise QuoteRefusedError("the PCK certificate chain can't be read") from error
    markers = [
        bytes(verified["platform"]["pck"]["fmspc"]).hex() == SIMULATED_FMSPC,
        layout.user_data == SIMULATED_USER_DATA,
        *(name == [SIMULATED_ORGANIZATION] for name in names),
    ]
    if domain.simulated and not all(markers):
        raise MarkerError("evidence without the markers of a simulated platform in a simulated trust domain")
    if not domain.simulated and any(markers):
        raise MarkerError("SIMULATED evidence in the production trust domain")


def _report(verified: dict[str, Any]) -> dict[str, Any]:
    """The report's fields in one flat mapping, hex as dcap-qvl gives it."""
    kind, report = next(iter(verified["report"].items()))
    if kind not in _REPORTS:
        raise QuoteRefusedError(f"the quote's report is of a kind that policies can't describe ({kind})")
    base = report.get("base", {})  # a TD 1.5 report holds the 1.0 report
    return {**base, **report}


def _replayed(event_log: bytes | None, report: dict[str, Any]) -> list[Event] | None:
    """The events, after each RTMR that they name, and RTMR3 always, was found to hold their replay."""
    if event_log is None:
        return None
    events = parse_event_log(event_log)
    for imr in {JOB_IMR, *(event.imr for event in events)}:
        if not hmac.compare_digest(replay(events, imr).hex(), report[f"rt_mr{imr}"]):
            raise EventLogError(f"the event log does not replay to RTMR{imr} of the quote")
    return events


def _job_events(events: list[Event] | None) -> dict[str, Any]:
    """Runner and job digest, if RTMR3 holds exactly these two in this order.

    Names are not measured, only digests in their order: with more or other events a host could relabel them.
    """
    ours = [event for event in events or () if event.imr == JOB_IMR]
    if [event.event for event in ours] != [RUNNER_EVENT, JOB_EVENT]:
        return {}
    return {"runner_digest": ours[0].digest, "job_digest": ours[1].digest}


def _claims(
    layout: QuoteLayout,
    verified: dict[str, Any],
    report: dict[str, Any],
    events: list[Event] | None,
    collateral: Collateral,
    now: int,
    domain: TrustDomain,
) -> Claims:
    platform, pck, qe = verified["platform"], verified["platform"]["pck"], verified["qe"]
    facts = collateral.facts()
    instance = pck["platform_instance_id"]
    return Claims(
        tee="tdx" if layout.tee == "tdx" else "sgx",
        trust_domain=domain.id,
        simulated=domain.simulated,
        verified_at=now,
        quote_version=layout.version,
        quote_sha256=hashlib.sha256(layout.quote).hexdigest(),
        collateral_sha256=collateral.sha256,
        report_data=layout.report_data.hex(),
        tcb_status=verified["tcb"]["status"],
        advisories=tuple(sorted(set(verified["tcb"]["advisory_ids"]))),
        tcb_date=platform["tcb_date_tag"],
        tcb_eval_number=min(verified["tcb"]["eval_data_number"], qe["tcb_eval_data_number"]),
        qe_tcb_status=qe["tcb_level"]["tcbStatus"],
        collateral_issued=facts.issued,
        collateral_expires=facts.expires,
        fmspc=bytes(pck["fmspc"]).hex(),
        ppid=bytes(pck["ppid"]).hex(),
        platform_instance_id=bytes(instance).hex() if instance else None,
        pck_ca=_pck_ca(layout),
        dynamic_platform=pck["dynamic_platform"].lower(),
        cached_keys=pck["cached_keys"].lower(),
        smt=pck["smt_enabled"].lower(),
        **(_td_claims(report) if layout.tee == "tdx" else _enclave_claims(report)),
        **_job_events(events),
    )


def _pck_ca(layout: QuoteLayout) -> str | None:
    try:
        return str(dcap_qvl.parse_quote(layout.quote).ca())
    except ValueError:  # the chain came with the collateral, not with the quote
        return None


def _td_claims(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in _TD_FIELDS} | {f"rtmr{i}": report[f"rt_mr{i}"] for i in range(4)}


def _enclave_claims(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in _ENCLAVE_FIELDS} | {"sgx_attributes": report["attributes"]}

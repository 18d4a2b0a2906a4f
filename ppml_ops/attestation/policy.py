"""Claims + ticket facts + policy → verdict. Pure; deny by default; every denial explained."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ppml_ops.attestation.claims import Claims
from ppml_ops.attestation.policy_model import DataSetPolicy, Measurements, Platform, Rule, Sgx, Tcb
from ppml_ops.attestation.verdict import Reason, Verdict

__all__ = ["DataSetPolicy", "Reason", "Rule", "TicketFacts", "Verdict", "evaluate"]

_MAX_SHOWN = 200
_Unmet = tuple[str, object, object]
"""Claim, got, wanted."""


@dataclass(frozen=True)
class TicketFacts:
    """What a verified job ticket says about one of its data sets."""

    purpose: str
    job_digest: str
    dataset: str
    mode: Literal["read", "write"]
    activations_used: int
    """Releases granted to this ticket before this one."""
    max_activations: int


def evaluate(policy: DataSetPolicy, claims: Claims, *, ticket_facts: TicketFacts | None, now: int) -> Verdict:
    """Whether `policy` lets this TEE have the data set's key.

    The first rule of which all conditions hold allows; else the verdict lists each rule's unmet conditions.

    Args:
        ticket_facts: from a ticket whose signature, audience and times were verified; None without a ticket.
        now: Unix seconds, for the age of the collateral.
    """
    reasons: list[Reason] = []
    for number, rule in enumerate(policy.release, start=1):
        unmet = [
            Reason(dataset=policy.dataset, rule=number, claim=claim, got=_show(got), wanted=_show(wanted))
            for claim, got, wanted in _unmet(policy, rule, claims, ticket_facts, now)
        ]
        if not unmet:
            return _verdict(policy, claims, rule=number)
        reasons += unmet
    if not reasons:
        reasons = [Reason(dataset=policy.dataset, rule=0, claim="release", got="no rule", wanted="a rule")]
    return _verdict(policy, claims, reasons=tuple(reasons))


def _verdict(
    policy: DataSetPolicy, claims: Claims, *, rule: int | None = None, reasons: tuple[Reason, ...] = ()
) -> Verdict:
    matched = policy.release[rule - 1] if rule is not None else None
    return Verdict(
        allow=matched is not None,
        dataset=policy.dataset,
        reasons=reasons,
        rule=rule,
        simulated=claims.simulated,
        attested=claims.attested,
        policy_digest=policy.digest,
        lease_seconds=matched.lease if matched else None,
        clear_logs=matched.clear_logs if matched else False,
    )


def _unmet(
    policy: DataSetPolicy, rule: Rule, claims: Claims, ticket: TicketFacts | None, now: int
) -> Iterator[_Unmet]:
    if claims.tee not in rule.tee:
        yield "tee", _tee_name(claims.tee), rule.tee
        return  # what follows is about another kind of TEE
    if claims.simulated != rule.simulated:
        yield "simulated", claims.simulated, rule.simulated
    yield from _ticket(policy, rule, ticket)
    if claims.tee == "none":
        return
    if claims.debug:
        yield "debug", True, False
    if claims.tee == "tdx" and rule.measurements is not None:
        yield from _measurements(rule.measurements, claims, ticket)
    if claims.tee == "sgx" and rule.sgx is not None:
        yield from _enclave(rule.sgx, claims)
    yield from _tcb(rule.tcb, claims, now)
    yield from _platform(rule.platform, claims)


def _ticket(policy: DataSetPolicy, rule: Rule, ticket: TicketFacts | None) -> Iterator[_Unmet]:
    if ticket is None:
        if rule.ticket.required:
            yield "ticket", None, "a job ticket signed by the data owner"
        return
    if ticket.dataset != policy.dataset:
        yield "ticket.dataset", ticket.dataset, policy.dataset
    if ticket.purpose not in rule.purpose:
        yield "ticket.purpose", ticket.purpose, rule.purpose
    allowed = min(ticket.max_activations, rule.ticket.max_activations or ticket.max_activations)
    if ticket.activations_used >= allowed:
        yield "ticket.activations_used", ticket.activations_used, f"fewer than {allowed}"


def _measurements(wanted: Measurements, claims: Claims, ticket: TicketFacts | None) -> Iterator[_Unmet]:
    for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2"):
        yield from _one_of(name, getattr(claims, name), getattr(wanted, name))
    if wanted.rtmr3 != "job_digest":
        yield from _one_of("rtmr3", claims.rtmr3, wanted.rtmr3)
    elif ticket is None or claims.job_digest != ticket.job_digest:
        yield "job_digest", claims.job_digest, ticket.job_digest if ticket else "that of a job ticket"
    yield from _one_of("runner_digest", claims.runner_digest, wanted.runner)


def _enclave(wanted: Sgx, claims: Claims) -> Iterator[_Unmet]:
    yield from _one_of("mr_enclave", claims.mr_enclave, wanted.mr_enclave)
    yield from _one_of("mr_signer", claims.mr_signer, wanted.mr_signer)
    if wanted.isv_prod_id is not None and claims.isv_prod_id != wanted.isv_prod_id:
        yield "isv_prod_id", claims.isv_prod_id, wanted.isv_prod_id
    yield from _at_least("isv_svn", claims.isv_svn, wanted.min_isv_svn)


def _tcb(wanted: Tcb, claims: Claims, now: int) -> Iterator[_Unmet]:
    yield from _one_of("tcb_status", claims.tcb_status, wanted.status)
    if not set(claims.advisories) <= set(wanted.advisories_allowed):
        yield "advisories", claims.advisories, wanted.advisories_allowed or "none"
    yield from _at_least("tcb_eval_number", claims.tcb_eval_number, wanted.min_eval_number)
    if wanted.min_tcb_date is not None:
        floor = datetime.combine(wanted.min_tcb_date, datetime.min.time(), UTC)
        if claims.tcb_date is None or claims.tcb_date < floor.timestamp():
            yield "tcb_date", _date(claims.tcb_date), f"{wanted.min_tcb_date} or later"
    if wanted.max_collateral_age is not None:
        age = None if claims.collateral_issued is None else now - claims.collateral_issued
        if age is None or age > wanted.max_collateral_age:
            yield "collateral_age", _seconds(age), f"at most {wanted.max_collateral_age} s"
    if claims.collateral_expires is None or now > claims.collateral_expires:
        yield "collateral_expires", _date(claims.collateral_expires), "a time not yet past"


def _platform(wanted: Platform, claims: Claims) -> Iterator[_Unmet]:
    yield from _one_of("ppid", claims.ppid, wanted.ppid_allow)
    for claim, value, rule in (
        ("smt", claims.smt, wanted.smt),
        ("dynamic_platform", claims.dynamic_platform, wanted.dynamic),
        ("cached_keys", claims.cached_keys, wanted.cached_keys),
    ):
        if rule == "refuse" and value != "false":
            yield claim, value, "false"


def _one_of(claim: str, got: str | None, wanted: tuple[str, ...] | None) -> Iterator[_Unmet]:
    if wanted is not None and got not in wanted:
        yield claim, got, wanted


def _at_least(claim: str, got: int | None, wanted: int | None) -> Iterator[_Unmet]:
    if wanted is not None and (got is None or got < wanted):
        yield claim, got, f"{wanted} or more"


def _tee_name(tee: str) -> str:
    return "none (UNATTESTED)" if tee == "none" else tee


def _date(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _seconds(value: int | None) -> str | None:
    return None if value is None else f"{value} s"


def _show(value: object) -> str:
    """Bounded and readable: "nothing", "true", or the items of a list; verdicts are stored and printed."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = "one of " + ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"

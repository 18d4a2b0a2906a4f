"""The truth table of release policies: one good case, and every single way away from it."""

import json
from typing import Any

import pytest

from ppml_ops.attestation.claims import Claims
from ppml_ops.attestation.policy import DataSetPolicy, TicketFacts, evaluate

NOW = 1_790_000_000
DAY = 86_400
A, B, C = "a" * 96, "b" * 96, "c" * 96
JOB = "d" * 96

TDX = {
    "purpose": ["risk-model", "audit"],
    "tee": ["tdx"],
    "measurements": {"mr_td": [A, C], "rtmr0": [A], "rtmr1": [B], "rtmr2": [C], "runner": [B]},
    "tcb": {
        "status": ["UpToDate", "SWHardeningNeeded"],
        "advisories_allowed": ["INTEL-SA-1"],
        "max_collateral_age": "7d",
        "min_eval_number": 18,
        "min_tcb_date": "2025-08-13",
    },
    "platform": {"ppid_allow": ["1" * 32], "smt": "refuse", "dynamic": "refuse", "cached_keys": "refuse"},
    "ticket": {"max_activations": 5},
    "lease": "10m",
}
SGX = {
    "purpose": ["audit"],
    "tee": ["sgx"],
    "sgx": {"mr_enclave": ["e" * 64], "mr_signer": ["f" * 64], "isv_prod_id": 7, "min_isv_svn": 3},
}
NONE = {"purpose": ["audit"], "tee": ["none"], "clear_logs": True}

BASE: dict[str, Any] = {
    "trust_domain": "0" * 64,
    "simulated": False,
    "verified_at": NOW,
    "tcb_status": "UpToDate",
    "tcb_date": NOW - 100 * DAY,
    "tcb_eval_number": 18,
    "collateral_issued": NOW - 7 * DAY,
    "collateral_expires": NOW,
    "ppid": "1" * 32,
    "dynamic_platform": "false",
    "cached_keys": "false",
    "smt": "false",
}
TD = BASE | {
    "tee": "tdx",
    "mr_td": A,
    "rtmr0": A,
    "rtmr1": B,
    "rtmr2": C,
    "rtmr3": A,
    "runner_digest": B,
    "job_digest": JOB,
}
ENCLAVE = BASE | {
    "tee": "sgx",
    "mr_enclave": "e" * 64,
    "mr_signer": "f" * 64,
    "isv_prod_id": 7,
    "isv_svn": 3,
}
FACTS = TicketFacts(
    purpose="audit", job_digest=JOB, dataset="claims", mode="read", activations_used=4, max_activations=8
)


def policy(*rules: dict[str, Any], dataset: str = "claims") -> DataSetPolicy:
    return DataSetPolicy.from_yaml(json.dumps({"dataset": dataset, "release": list(rules)}))


def decide(rules: Any, claims: dict[str, Any], ticket: TicketFacts | None = FACTS, now: int = NOW) -> Any:
    return evaluate(policy(*rules), Claims(**claims), ticket_facts=ticket, now=now)


def without(facts: TicketFacts, **changes: Any) -> TicketFacts:
    return TicketFacts(**(vars(facts) | changes))


def test_good_td_is_allowed():
    verdict = decide([TDX], TD)
    assert verdict.allow and verdict.reasons == () and verdict.rule == 1
    assert verdict.attested and not verdict.simulated
    assert verdict.lease_seconds == 600 and not verdict.clear_logs
    assert verdict.explain() == "ALLOW"


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({"mr_td": B}, "mr_td"),
        ({"mr_td": None}, "mr_td"),
        ({"rtmr0": B}, "rtmr0"),
        ({"rtmr1": A}, "rtmr1"),
        ({"rtmr2": A}, "rtmr2"),
        ({"runner_digest": A}, "runner_digest"),
        ({"runner_digest": None}, "runner_digest"),
        ({"job_digest": A}, "job_digest"),
        ({"job_digest": None}, "job_digest"),
        ({"tcb_status": "OutOfDate"}, "tcb_status"),
        ({"tcb_status": "NeverHeardOf"}, "tcb_status"),
        ({"tcb_status": None}, "tcb_status"),
        ({"advisories": ("INTEL-SA-1", "INTEL-SA-2")}, "advisories"),
        ({"tcb_eval_number": 17}, "tcb_eval_number"),
        ({"tcb_eval_number": None}, "tcb_eval_number"),
        ({"tcb_date": 1_755_043_199}, "tcb_date"),
        ({"tcb_date": None}, "tcb_date"),
        ({"collateral_issued": NOW - 7 * DAY - 1}, "collateral_age"),
        ({"collateral_issued": None}, "collateral_age"),
        ({"collateral_expires": NOW - 1}, "collateral_expires"),
        ({"collateral_expires": None}, "collateral_expires"),
        ({"ppid": "2" * 32}, "ppid"),
        ({"ppid": None}, "ppid"),
        ({"smt": "true"}, "smt"),
        ({"smt": "undefined"}, "smt"),
        ({"dynamic_platform": "true"}, "dynamic_platform"),
        ({"cached_keys": None}, "cached_keys"),
        ({"simulated": True}, "simulated"),
        ({"debug": True}, "debug"),
    ],
)
def test_each_claim_alone_denies(change, claim):
    verdict = decide([TDX], TD | change)
    assert not verdict.allow and verdict.rule is None and verdict.lease_seconds is None
    assert [reason.claim for reason in verdict.reasons] == [claim]
    reason = verdict.reasons[0]
    assert (reason.rule, reason.dataset) == (1, "claims") and reason.got and reason.wanted
    assert claim in verdict.explain()


@pytest.mark.parametrize(
    "change",
    [
        {"advisories": ("INTEL-SA-1",)},
        {"mr_td": C},
        {"tcb_status": "SWHardeningNeeded"},
        {"tcb_eval_number": 99},
        {"tcb_date": 1_755_043_200},
    ],
)
def test_each_accepted_value(change):
    assert decide([TDX], TD | change).allow


@pytest.mark.parametrize(
    ("ticket", "claims"),
    [
        (None, ["ticket", "job_digest"]),
        (without(FACTS, purpose="other"), ["ticket.purpose"]),
        (without(FACTS, dataset="other"), ["ticket.dataset"]),
        (without(FACTS, activations_used=5), ["ticket.activations_used"]),
        (without(FACTS, max_activations=4), ["ticket.activations_used"]),
        (without(FACTS, max_activations=0, activations_used=0), ["ticket.activations_used"]),
        (without(FACTS, job_digest=A), ["job_digest"]),
    ],
)
def test_each_ticket_fact_alone_denies(ticket, claims):
    assert [reason.claim for reason in decide([TDX], TD, ticket).reasons] == claims


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({"mr_enclave": "0" * 64}, "mr_enclave"),
        ({"mr_signer": "0" * 64}, "mr_signer"),
        ({"isv_prod_id": 8}, "isv_prod_id"),
        ({"isv_svn": 2}, "isv_svn"),
        ({"isv_svn": None}, "isv_svn"),
    ],
)
def test_each_enclave_claim_alone_denies(change, claim):
    assert decide([SGX], ENCLAVE).allow
    assert [reason.claim for reason in decide([SGX], ENCLAVE | change).reasons] == [claim]


@pytest.mark.parametrize(
    ("rule", "claims"), [(TDX, ENCLAVE), (SGX, TD), (NONE, TD), (NONE, ENCLAVE), (TDX, None), (SGX, None)]
)
def test_rules_are_for_their_tee_only(rule, claims):
    claims = claims or {"tee": "none", "trust_domain": "0" * 64, "simulated": False, "verified_at": NOW}
    verdict = decide([rule], claims)
    assert not verdict.allow and [reason.claim for reason in verdict.reasons] == ["tee"]


def test_unattested_only_by_a_rule_for_it():
    claims = Claims.unattested(trust_domain="0" * 64, simulated=False, verified_at=NOW).model_dump()
    verdict = decide([TDX, NONE], claims)
    assert verdict.allow and verdict.rule == 2 and not verdict.attested and verdict.clear_logs
    assert verdict.explain() == "ALLOW UNATTESTED"
    assert not decide([NONE], claims, None).allow
    assert not decide([NONE], claims, without(FACTS, purpose="risk-model")).allow


@pytest.mark.parametrize(
    ("rule_says", "claims_say", "allow"),
    [(True, True, True), (False, False, True), (True, False, False), (False, True, False)],
)
def test_simulation_must_be_meant(rule_says, claims_say, allow):
    """A rule for simulation releases nothing in production, and the reverse."""
    verdict = decide([TDX | {"simulated": rule_says}], TD | {"simulated": claims_say})
    assert verdict.allow is allow and verdict.simulated is claims_say
    assert ("SIMULATED" in verdict.explain()) is claims_say


def test_empty_policy_denies():
    for document in ("dataset: claims", "dataset: claims\nrelease: []"):
        verdict = evaluate(DataSetPolicy.from_yaml(document), Claims(**TD), ticket_facts=FACTS, now=NOW)
        assert not verdict.allow and [reason.rule for reason in verdict.reasons] == [0]


def test_rules_are_not_mixed():
    """Two rules that each fail in one point do not add up to one that passes; all reasons are given."""
    wrong_td = TDX | {"measurements": TDX["measurements"] | {"mr_td": [B]}}
    verdict = decide([wrong_td, TDX | {"purpose": ["other"]}, SGX], TD)
    assert [(reason.rule, reason.claim) for reason in verdict.reasons] == [
        (1, "mr_td"),
        (2, "ticket.purpose"),
        (3, "tee"),
    ]
    assert decide([wrong_td, TDX], TD).rule == 2


def test_listed_rtmr3_needs_no_ticket():
    measurements = {key: value for key, value in TDX["measurements"].items() if key != "runner"}
    rule = TDX | {"measurements": measurements | {"rtmr3": [A]}, "ticket": {"required": False}}
    assert decide([rule], TD, None).allow
    assert not decide([rule], TD | {"rtmr3": B}, None).allow


def test_job_binding_never_passes_without_a_ticket():
    rule = TDX | {"ticket": {"required": False}}
    assert [r.claim for r in decide([rule], TD, None).reasons] == ["job_digest"]
    assert not decide([rule], TD | {"job_digest": None}, None).allow


def test_verdict_is_canonical_and_bounded():
    many = TDX | {"measurements": TDX["measurements"] | {"mr_td": [f"{i:096x}" for i in range(200)]}}
    verdict = decide([many], TD)
    assert max(len(reason.wanted) for reason in verdict.reasons) <= 200
    assert type(verdict).model_validate_json(verdict.canonical()) == verdict
    assert len(verdict.digest) == 64
    assert verdict.policy_digest == policy(many).digest

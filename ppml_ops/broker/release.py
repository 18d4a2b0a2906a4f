"""The decision about one release: pure, from verified claims and ticket, policies and the count so far."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from ppml_ops.attestation.claims import Claims
from ppml_ops.attestation.policy import DataSetPolicy, Reason, TicketFacts, Verdict, evaluate
from ppml_ops.broker.tickets import TicketClaims
from ppml_ops.errors import DeniedError


class Decision(BaseModel):
    """Outcome for a whole ticket: allowed only when every data set in it is.

    `reasons` are those of all verdicts and of the ticket as a whole, as texts that say claim, got and wanted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    allow: bool
    reasons: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    simulated: bool
    attested: bool

    def explain(self) -> str:
        """One line for logs: the word, SIMULATED or UNATTESTED where it applies, and the reasons."""
        words = ["ALLOW" if self.allow else "DENY"]
        words += ["SIMULATED"] if self.simulated else []
        words += [] if self.attested else ["UNATTESTED"]
        return " ".join(words) + (": " + "; ".join(self.reasons) if self.reasons else "")

    def require(self) -> Self:
        """This decision, if it allows.

        Raises:
            DeniedError: with every reason.
        """
        if not self.allow:
            raise DeniedError(
                "no key is released: " + "; ".join(self.reasons),
                next_step="compare each reason with the job, its ticket and the data set's policy",
            )
        return self


def decide(
    ticket: TicketClaims,
    claims: Claims,
    policies: Mapping[str, DataSetPolicy],
    *,
    activations: int,
    now: int,
) -> Decision:
    """Whether the TEE with these claims gets the keys of this ticket.

    Args:
        ticket: verified (signature, audience, times, not revoked).
        claims: from appraised evidence.
        policies: by data set; one that is missing denies.
        activations: releases to this ticket before this one.
        now: Unix seconds.
    """
    reasons = list(_ticket_reasons(ticket, claims, activations))
    verdicts = []
    for binding in ticket.datasets:
        policy = policies.get(binding.dataset)
        facts = TicketFacts(
            purpose=ticket.purpose,
            job_digest=ticket.job_digest,
            dataset=binding.dataset,
            mode=binding.mode,
            activations_used=activations,
            max_activations=ticket.max_activations,
        )
        if policy is None:
            verdict = _no_policy(binding.dataset, claims)
        else:
            verdict = evaluate(policy, claims, ticket_facts=facts, now=now)
        verdicts.append(verdict)
        reasons += [text for text in map(str, verdict.reasons) if text not in reasons]
    return Decision(
        allow=not reasons and all(verdict.allow for verdict in verdicts),
        reasons=tuple(reasons),
        verdicts=tuple(verdicts),
        simulated=claims.simulated,
        attested=claims.attested,
    )


def _ticket_reasons(ticket: TicketClaims, claims: Claims, activations: int) -> list[str]:
    """What holds for the ticket as a whole, whatever the policies say."""
    reasons = []
    if claims.trust_domain != ticket.aud:
        reasons.append(f"ticket: trust_domain is {claims.trust_domain}, wanted {ticket.aud}")
    # An enclave compares ticket and job itself (policies pin that runner); a TD's RTMR3 shows what it runs.
    if claims.tee == "tdx" and claims.job_digest != ticket.job_digest:
        got = claims.job_digest or "nothing"
        reasons.append(f"ticket: job_digest is {got}, wanted {ticket.job_digest}")
    if activations >= ticket.max_activations:
        reasons.append(f"ticket: activations_used is {activations}, wanted fewer than {ticket.max_activations}")
    return reasons


def _no_policy(dataset: str, claims: Claims) -> Verdict:
    reason = Reason(
        dataset=dataset, rule=0, claim="policy", got="nothing", wanted=f"a policy; add policies/{dataset}.yaml"
    )
    return Verdict(
        allow=False,
        dataset=dataset,
        reasons=(reason,),
        rule=None,
        simulated=claims.simulated,
        attested=claims.attested,
        policy_digest="",
    )

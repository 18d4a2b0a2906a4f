"""The second half of RCAR: release of key bundles and plain resources, decided, recorded, then answered."""

import threading
from collections.abc import Callable
from typing import Any

from ppml_ops.attestation.claims import Claims
from ppml_ops.attestation.policy import evaluate
from ppml_ops.broker import jwe
from ppml_ops.broker.bundle import BundleDataset, KeyBundle
from ppml_ops.broker.handshake import Handshake, public_id
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.rcar.kbs_v0_4 import RuntimeData
from ppml_ops.broker.release import Decision, decide
from ppml_ops.broker.resources import TICKET_REPOSITORY
from ppml_ops.broker.sessions import Attested, PresentedTicket, Session
from ppml_ops.broker.state import BrokerState
from ppml_ops.broker.thumbprint import recipient_thumbprint
from ppml_ops.broker.tickets import ReadBinding, TicketClaims, WriteBinding
from ppml_ops.broker.unwrap import unwrap_binding
from ppml_ops.canonical import b64e
from ppml_ops.errors import DeniedError, PpmlError

BUNDLE_PREFIX = f"{TICKET_REPOSITORY}/keybundle/"


class Grants:
    """Releases of one broker.

    One lock around count, decision, unwrapping and record: activations can't be overspent by a race.
    """

    def __init__(self, state: BrokerState, handshake: Handshake, clock: Callable[[], int]) -> None:
        self._state = state
        self._handshake = handshake
        self._clock = clock
        self._lock = threading.Lock()

    def resource(self, session: Session, path: str) -> dict[str, str]:
        """The resource at `path` (repository/type/tag) as JWE for the session's key.

        Raises:
            RcarError: not attested, denied, or unknown.
        """
        if session.attested is None:
            raise RcarError("TokenNotFound", "this session is not attested yet")
        try:
            if path.startswith(BUNDLE_PREFIX):
                return self._bundle(session, session.attested, path.removeprefix(BUNDLE_PREFIX))
            return self._plain(session, session.attested, path)
        except PpmlError as error:
            raise RcarError.of(error) from None

    def decision(self, ticket: TicketClaims, claims: Claims) -> Decision:
        """What a release would be decided now; no record, no key."""
        return decide(
            ticket,
            claims,
            self._state.policies.select({binding.dataset for binding in ticket.datasets}),
            activations=self._state.audit.activations(ticket.jti),
            now=self._clock(),
        )

    def _bundle(self, session: Session, attested: Attested, jti: str) -> dict[str, str]:
        ticket, claims = session.ticket, attested.claims
        if ticket is None or claims is None or ticket.claims.jti != jti:
            raise DeniedError(
                "this session was not opened with that job ticket",
                next_step="send the ticket in the extra-params of /auth",
                who="the operator of the TEE platform",
            )
        facts = self._facts(session, attested, ticket)
        with self._lock:
            try:
                self._handshake.verified(ticket.text)  # it may have expired or been revoked since /auth
                activations = self._state.audit.activations(jti)
                decision = self.decision(ticket.claims, claims)
                facts["policies"] = {verdict.dataset: verdict.policy_digest for verdict in decision.verdicts}
                decision.require()
                opened = [unwrap_binding(self._state, binding) for binding in ticket.claims.datasets]
            except PpmlError as error:
                self._state.audit.append("denial", **facts, reasons=[error.what])
                raise
            record = self._state.audit.append(
                "release",
                **facts,
                activation=activations + 1,
                max_activations=ticket.claims.max_activations,
                purpose=ticket.claims.purpose,
                job_digest=ticket.claims.job_digest,
                simulated=claims.simulated,
                attested=claims.attested,
                measurements=_measurements(claims),
                datasets=[
                    _dataset_facts(binding, one.key)
                    for binding, one in zip(ticket.claims.datasets, opened, strict=True)
                ],
            )
        bundle = KeyBundle(
            ticket=jti,
            trust_domain=self._state.domain.id,
            simulated=claims.simulated,
            datasets=[
                _bundle_dataset(binding, one.data_key)
                for binding, one in zip(ticket.claims.datasets, opened, strict=True)
            ],
            release=record.digest,
            clear_logs=all(verdict.clear_logs for verdict in decision.verdicts),
        )
        return _seal(bundle.sign(self._state.signing), attested.runtime)

    def _plain(self, session: Session, attested: Attested, path: str) -> dict[str, str]:
        resource = self._state.resources.get(path)
        if resource is None:
            raise RcarError("PluginNotFound", "there is no such resource", 404)
        facts = self._facts(session, attested, None) | {"resource": path}
        reasons: list[str] = []
        if attested.claims is None:
            if not resource.sample:
                reasons = ["tee is sample, wanted attested evidence"]
        elif (policy := self._state.policies.get(resource.policy) if resource.policy else None) is None:
            reasons = ["the resource names no policy for attested evidence, or that policy is gone"]
        else:
            facts["policies"] = {policy.dataset: policy.digest}
            verdict = evaluate(policy, attested.claims, ticket_facts=None, now=self._clock())
            reasons = [str(reason) for reason in verdict.reasons]
        if reasons:
            self._state.audit.append("denial", **facts, reasons=reasons)
            raise DeniedError(
                "the resource is not released: " + "; ".join(reasons),
                next_step="compare each reason with the resource's policy",
            )
        self._state.audit.append("resource-release", **facts)
        return _seal(resource.content, attested.runtime)

    def _facts(self, session: Session, attested: Attested, ticket: PresentedTicket | None) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "session": public_id(session),
            "tee": session.tee,
            "appraisal": attested.record,
            "quote": attested.quote_digest,
            "recipient": recipient_thumbprint(attested.runtime.tee_pubkey),
            "generation": session.generation,
        }
        if ticket is not None:
            facts |= {
                "ticket": ticket.claims.jti,
                "ticket_digest": ticket.digest,
                "run_key": ticket.claims.run_key,
                "issuer": ticket.claims.iss,
            }
        return facts


def _measurements(claims: Claims) -> dict[str, str]:
    """What the TEE was, for people who read the record; the archived evidence proves it."""
    names = ("tee", "tcb_status", "mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_enclave", "mr_signer")
    found = {name: getattr(claims, name) for name in (*names, "runner_digest", "job_digest")}
    return {name: value for name, value in found.items() if value is not None}


def _dataset_facts(binding: ReadBinding | WriteBinding, key: str) -> dict[str, Any]:
    return {
        "dataset": binding.dataset,
        "mode": binding.mode,
        "version": binding.version,
        "data_key_id": binding.data_key_id,
        "manifest_digest": binding.manifest_digest if isinstance(binding, ReadBinding) else None,
        "key": key,
    }


def _bundle_dataset(binding: ReadBinding | WriteBinding, data_key: bytes) -> BundleDataset:
    return BundleDataset(
        dataset=binding.dataset,
        mode=binding.mode,
        key=b64e(data_key),
        version=binding.version,
        manifest_digest=binding.manifest_digest if isinstance(binding, ReadBinding) else None,
        manifest=binding.manifest if isinstance(binding, WriteBinding) else None,
    )


def _seal(plaintext: bytes, runtime: RuntimeData) -> dict[str, str]:
    key = runtime.tee_pubkey
    return jwe.encrypt(plaintext, jwe.ec_public_key(key.x, key.y))

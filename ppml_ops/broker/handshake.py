"""The first half of RCAR: challenge and attestation, each with its audit record."""

import hashlib
from collections.abc import Callable

from pydantic import ValidationError

from ppml_ops.broker.ear import make_token, read_handle
from ppml_ops.broker.evidence import Appraised, FindCollateral, appraise_evidence, check_tee
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.rcar.kbs_v0_4 import VERSION, Attestation, Challenge, Request, TicketParams
from ppml_ops.broker.sessions import Attested, PresentedTicket, Session, SessionStore
from ppml_ops.broker.state import BrokerState
from ppml_ops.broker.tickets import verify_ticket
from ppml_ops.errors import DeniedError, PpmlError


class Handshake:
    """Challenges and attestations of one broker.

    Args:
        state: the broker's stores.
        find_collateral: quote → collateral.
        clock: Unix seconds.
    """

    def __init__(self, state: BrokerState, find_collateral: FindCollateral, clock: Callable[[], int]) -> None:
        self._state = state
        self._find_collateral = find_collateral
        self._clock = clock
        self._sessions = SessionStore(clock)

    def now(self) -> int:
        """Unix seconds."""
        return self._clock()

    def challenge(self, request: Request) -> tuple[Challenge, str]:
        """The challenge and the id of its session.

        Raises:
            RcarError: another protocol version or TEE, a refused ticket, or too many sessions.
        """
        if request.version != VERSION:
            raise RcarError(
                "ProtocolVersion", f"this broker speaks RCAR {VERSION}, the client {request.version!r}"
            )
        extra = request.extra_params
        has_ticket = isinstance(extra, dict) and "job-ticket" in extra
        check_tee(request.tee, self._state.domain, with_ticket=has_ticket)
        if not has_ticket:
            session = self._sessions.open(request.tee, None)
            return Challenge(nonce=session.nonce), session.id
        try:
            params = TicketParams.model_validate(extra)
        except ValidationError:
            raise RcarError("TicketRefused", "extra-params hold no readable job ticket") from None
        session = self._sessions.open(request.tee, self.present(params.job_ticket), params.generation)
        self._record_challenge(session)
        return Challenge(nonce=session.nonce), session.id

    def present(self, text: str) -> PresentedTicket:
        """A ticket, verified now.

        Raises:
            RcarError: refused; the denial is on record.
        """
        try:
            return PresentedTicket(self.verified(text).claims, text)
        except DeniedError as error:
            digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
            self._state.audit.append(
                "ticket-refused", durable=False, ticket_digest=digest, reasons=[error.what]
            )
            raise RcarError.of(error) from None

    def verified(self, text: str) -> PresentedTicket:
        """A ticket, verified now, without a record; raises DeniedError."""
        claims = verify_ticket(
            text,
            owners=self._state.owners.all(),
            trust_domain=self._state.domain.id,
            now=self._clock(),
            revoked=self._state.audit.revoked(),
        )
        return PresentedTicket(claims, text)

    def attest(self, session_id: str, message: Attestation) -> str:
        """Appraise the evidence for a session's challenge; returns the EAR token.

        Raises:
            RcarError: no such session, its attestation was used, or the evidence is refused.
        """
        session = self._sessions.use_nonce(session_id, message.runtime_data.nonce)
        if message.init_data is not None:
            raise RcarError("AttestationError", "init-data is not supported; send null")
        seen = Appraised()
        now = self._clock()
        try:
            appraise_evidence(
                session.tee,
                message.runtime_data,
                message.tee_evidence,
                domain=self._state.domain,
                find_collateral=self._find_collateral,
                now=now,
                seen=seen,
            )
        except PpmlError as error:
            self._record_appraisal(session, message, seen, [error.what])
            raise RcarError.of(error) from None
        record, quote = self._record_appraisal(session, message, seen, [])
        session.attested = Attested(seen.claims, message.runtime_data, record, quote)
        return make_token(
            self._state.token_signing,
            trust_domain=self._state.domain.id,
            tee=session.tee,
            claims=seen.claims,
            runtime=message.runtime_data,
            handle=session.token,
            issued=now,
            expires=session.expires,
        )

    def session(self, cookie: str | None, authorization: str | None) -> Session:
        """The living session of a resource request, by its cookie or its EAR token.

        Raises:
            RcarError: neither leads to one.
        """
        if cookie:
            return self._sessions.find(cookie)
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RcarError("TokenNotFound", "neither a session cookie nor a bearer token was sent")
        try:
            return self._sessions.find_by_token(read_handle(self._state.token_signing, token.strip()))
        except ValueError:
            raise RcarError("TokenVerifierError", "the bearer token is not this broker's") from None

    def _record_challenge(self, session: Session) -> None:
        assert session.ticket is not None  # only ticketed challenges are recorded
        self._state.audit.append(
            "challenge",
            durable=False,  # a later, durable record takes it along
            session=public_id(session),
            tee=session.tee,
            ticket=session.ticket.claims.jti,
            ticket_digest=self._state.archive.put(session.ticket.text.encode("ascii")),
            run_key=session.ticket.claims.run_key,
            generation=session.generation,
            nonce_random=session.random.hex(),
            nonce=session.nonce,
        )

    def _record_appraisal(
        self, session: Session, message: Attestation, seen: Appraised, reasons: list[str]
    ) -> tuple[str, str | None]:
        """Digests of the record and of the quote. Refused evidence of strangers is not archived."""
        ticket = session.ticket
        keep = ticket is not None or not reasons
        documents = seen.archive(self._state.archive) if keep else {}
        record = self._state.audit.append(
            "appraisal",
            durable=not reasons,
            session=public_id(session),
            tee=session.tee,
            ticket=ticket.claims.jti if ticket else None,
            ticket_digest=ticket.digest if ticket else None,
            generation=session.generation,
            nonce_random=session.random.hex(),
            nonce=session.nonce,
            tee_pubkey=message.runtime_data.tee_pubkey.model_dump(),
            additional_evidence=hashlib.sha256(
                message.tee_evidence.additional_evidence.encode(errors="replace")
            ).hexdigest(),
            decision="refused" if reasons else "accepted",
            reasons=reasons,
            **documents,
        )
        return record.digest, documents.get("quote")


def public_id(session: Session) -> str:
    """Name of a session in records; the id itself is a secret of its client."""
    return hashlib.sha256(session.id.encode("ascii")).hexdigest()[:32]

"""Short sessions of the handshake: one challenge, one attestation, then a few resource requests."""

import hashlib
import hmac
import secrets
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ppml_ops.attestation.claims import Claims
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.rcar.kbs_v0_4 import RuntimeData
from ppml_ops.broker.tickets import TicketClaims
from ppml_ops.canonical import b64e

LIFETIME_SECONDS = 300
MAX_SESSIONS = 1024
_NONCE_LABEL = b"ppml-ops/nonce/v1"


@dataclass(frozen=True)
class PresentedTicket:
    """A verified ticket and the exact text that was presented."""

    claims: TicketClaims
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text, 64 hex digits."""
        return hashlib.sha256(self.text.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Attested:
    """What an accepted attestation left in its session; `claims` is None for the unsigned `sample` TEE."""

    claims: Claims | None
    runtime: RuntimeData
    record: str
    """Digest of the audit record of the appraisal."""
    quote_digest: str | None


@dataclass
class Session:
    """One handshake. `random` is what the nonce was made from; `expires` is in Unix seconds."""

    id: str
    tee: str
    random: bytes
    nonce: str
    ticket: PresentedTicket | None
    generation: str
    expires: int
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    """Names the session inside its EAR token; the cookie itself never leaves the handshake."""
    used: bool = False
    attested: Attested | None = field(default=None)


def bound_nonce(random: bytes, ticket_text: str) -> str:
    """Nonce that answers for one ticket: base64(SHA-256(label || 4-byte length || random || SHA-256(ticket))).

    Whoever has the audit record (with `random`) and the ticket can recompute which ticket a quote answered for.
    """
    ticket = hashlib.sha256(ticket_text.encode("ascii")).digest()
    return b64e(hashlib.sha256(_NONCE_LABEL + struct.pack(">I", len(random)) + random + ticket).digest())


class SessionStore:
    """Sessions in memory: a restart ends them all, and clients repeat the handshake.

    Args:
        clock: Unix seconds.
        limit: sessions at a time; more are refused until old ones expire.
    """

    def __init__(self, clock: Callable[[], int], *, limit: int = MAX_SESSIONS) -> None:
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session] = {}
        self._tokens: dict[str, bytes] = {}

    def open(self, tee: str, ticket: PresentedTicket | None, generation: str = "") -> Session:
        """A new session with a fresh nonce, bound to `ticket` when there is one.

        Raises:
            RcarError: too many sessions are open.
        """
        random = secrets.token_bytes(32)
        session = Session(
            id=secrets.token_hex(16),
            tee=tee,
            random=random,
            nonce=b64e(random) if ticket is None else bound_nonce(random, ticket.text),
            ticket=ticket,
            generation=generation,
            expires=self._clock() + LIFETIME_SECONDS,
        )
        with self._lock:
            self._drop_expired()
            if len(self._sessions) >= self._limit:
                raise RcarError("SessionLimit", "too many handshakes are open; try again in a minute", 503)
            self._sessions[_slot(session.id)] = session
            self._tokens[session.token] = _slot(session.id)
        return session

    def find(self, session_id: str) -> Session:
        """The living session of a cookie.

        Raises:
            RcarError: unknown or expired.
        """
        return self._living(_slot(session_id))

    def find_by_token(self, token: str) -> Session:
        """The living session of a verified EAR token's `jti`; raises as `find`."""
        return self._living(self._tokens.get(token, b""))

    def use_nonce(self, session_id: str, nonce: str) -> Session:
        """Take the session's one attestation; also a wrong nonce uses it up.

        Raises:
            RcarError: unknown session, second attestation, or another nonce.
        """
        session = self.find(session_id)
        with self._lock:
            if session.used:
                raise RcarError("SessionUsed", "this session was attested already; start a new handshake")
            session.used = True
        if not hmac.compare_digest(session.nonce.encode(), nonce.encode(errors="replace")):
            raise RcarError("NonceMismatch", "the evidence answers another challenge than this session's")
        return session

    def _living(self, slot: bytes) -> Session:
        with self._lock:
            session = self._sessions.get(slot)
            if session is None or session.expires <= self._clock():
                raise RcarError("SessionExpired", "unknown or expired session; repeat the handshake")
            return session

    def _drop_expired(self) -> None:
        now = self._clock()
        for key in [key for key, session in self._sessions.items() if session.expires <= now]:
            del self._tokens[self._sessions.pop(key).token]


def _slot(session_id: str) -> bytes:
    """Look up by digest: the time of a lookup then tells nothing about living ids."""
    return hashlib.sha256(session_id.encode(errors="replace")).digest()

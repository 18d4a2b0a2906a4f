"""The client's side of RCAR 0.4.0: challenge, evidence, resources; works against any KBS of this version."""

import json
import re
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from ppml_ops.attestation.evidence import Evidence, EvidenceProvider
from ppml_ops.broker import jwe
from ppml_ops.broker.rcar import kbs_v0_4 as kbs
from ppml_ops.canonical import b64e
from ppml_ops.errors import ConfigError, DataError, DeniedError, IntegrityError, PpmlError, TransientError
from ppml_ops.keys.broker_http import BrokerHttp

#: Longer than any reason of ours; the pattern's time grows with the square of it.
MAX_DETAIL = 16 * 1024
_DETAIL = re.compile(r"(.*) \[([^\[\]:]+): (.*)\]", re.DOTALL)
_ERRORS: dict[str, type[PpmlError]] = {
    cls.__name__: cls for cls in (ConfigError, DataError, DeniedError, IntegrityError, TransientError)
}
_RETRY = frozenset({"SessionExpired", "SessionLimit", "RateLimit"})


def attest(
    http: BrokerHttp, provider: EvidenceProvider, tee: str, extra: dict[str, str]
) -> ec.EllipticCurvePrivateKey:
    """Run the handshake on `http`, whose cookie is then attested; returns the attested private key."""
    params = {"supported-hash-algorithms": kbs.HASH_ALGORITHMS, **extra}
    request = kbs.Request(version=kbs.VERSION, tee=tee, extra_params=params)
    try:
        challenge = kbs.Challenge.model_validate(send(http, "POST", "/auth", request.model_dump()))
        algorithm = kbs.selected_hash(challenge)
        private, runtime = ephemeral(challenge.nonce)
        expected = kbs.report_data(runtime, algorithm=algorithm)
    except ValueError:  # ValidationError is one
        raise IntegrityError(
            "the key broker's challenge is not what RCAR 0.4.0 promises",
            next_step="check the broker's address and version",
            who="the operator",
        ) from None
    send(http, "POST", "/attest", attestation(runtime, provider.quote(expected)))
    return private


def ephemeral(nonce: str) -> tuple[ec.EllipticCurvePrivateKey, kbs.RuntimeData]:
    """A fresh key of one attestation, and the runtime data that name it."""
    private = ec.generate_private_key(ec.SECP256R1())
    x, y = jwe.ec_coordinates(private.public_key())
    return private, kbs.RuntimeData(nonce=nonce, tee_pubkey=kbs.TeePublicKey(x=x, y=y))


def attestation(runtime: kbs.RuntimeData, evidence: Evidence) -> dict[str, Any]:
    """The `/attest` message."""
    primary: dict[str, Any] = {}
    if evidence.tee != "none":
        primary = {"quote": b64e(evidence.quote)}
        if evidence.tee == "tdx":
            primary["cc_eventlog"] = b64e(evidence.event_log) if evidence.event_log is not None else None
    message = kbs.Attestation(runtime_data=runtime, tee_evidence=kbs.TeeEvidence(primary_evidence=primary))
    return message.model_dump()


def send(http: BrokerHttp, method: str, path: str, body: Any = None) -> Any:
    """One RCAR request; errors in the KBS shape become ours."""
    status, content = http.send(method, kbs.BASE_PATH + path, body)
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError):
        reply = None
    if status < 300 and isinstance(reply, dict):
        return reply
    kind, detail = "", f"the key broker answered {status}"
    if isinstance(reply, dict) and isinstance(reply.get("detail"), str):
        kind, detail = str(reply.get("type", "")).rpartition("/")[2], reply["detail"]
    raise _error(status, kind, detail)


def _error(status: int, kind: str, detail: str) -> PpmlError:
    cls = _ERRORS.get(kind)
    if cls is None:
        transient = status >= 500 or status == 429 or kind in _RETRY
        cls = TransientError if transient else DeniedError
    match = _DETAIL.fullmatch(detail) if len(detail) <= MAX_DETAIL else None
    if match:
        return cls(match[1], who=match[2], next_step=match[3])
    default = "try again" if cls.retryable else "see the reason, and the broker's log"
    return cls(detail, next_step=default)

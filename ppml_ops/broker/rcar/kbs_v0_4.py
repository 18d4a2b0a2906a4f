"""KBS RCAR 0.4.0 (confidential-containers): message shapes, limits, report_data and error bodies.

Received messages are parsed strictly (no coercion) and unknown members are dropped, as Trustee does; what is
hashed is the re-serialised form of the known members, so a key with extra members never verifies.
"""

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from ppml_ops.broker.jwe import ALGORITHM, ec_public_key
from ppml_ops.canonical import b64d, canonical_json

VERSION = "0.4.0"
BASE_PATH = "/kbs/v0"
COOKIE = "kbs-session-id"
ERROR_PREFIX = "https://github.com/confidential-containers/kbs/errors/"
HASH_ALGORITHMS = ["sha256", "sha384", "sha512"]

MAX_BODY = 1024 * 1024
MAX_QUOTE = 16 * 1024
MAX_EVENT_LOG = 256 * 1024
REPORT_DATA_BYTES = 64


def _b64_length(size: int) -> int:
    return (size + 2) // 3 * 4


def _is_base64(value: str) -> str:
    b64d(value)
    return value


class _Message(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, populate_by_name=True, serialize_by_alias=True
    )


Tee = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]


class Request(_Message):
    """`POST /auth`. `extra-params` is free JSON: our ticket travels in it, Trustee ignores it."""

    version: str = Field(max_length=32)
    tee: Tee
    extra_params: Any = Field(default=None, alias="extra-params")


class TicketParams(_Message):
    """Our part of `extra-params`."""

    job_ticket: str = Field(alias="job-ticket", max_length=MAX_BODY)
    generation: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,128}$")


class Challenge(_Message):
    """Reply to `/auth`; `nonce` is standard base64. An empty string is what a real broker sends as extra."""

    nonce: str = Field(max_length=1024)
    extra_params: Any = Field(default="", alias="extra-params")


class TeePublicKey(_Message):
    """The ephemeral key of the TEE: exactly these five members are hashed, coordinates are 32 bytes."""

    kty: Literal["EC"] = "EC"
    crv: Literal["P-256"] = "P-256"
    alg: Literal["ECDH-ES+A256KW"] = ALGORITHM
    x: str = Field(max_length=43)
    y: str = Field(max_length=43)

    @field_validator("y")
    @classmethod
    def _is_point(cls, y: str, info: Any) -> str:
        if "x" in info.data:
            ec_public_key(info.data["x"], y)
        return y


class RuntimeData(_Message):
    """What the evidence is bound to."""

    nonce: str = Field(max_length=1024)
    tee_pubkey: TeePublicKey = Field(alias="tee-pubkey")


class TeeEvidence(_Message):
    """`primary_evidence` depends on the TEE; the other is a string and is hashed also when empty."""

    primary_evidence: dict[str, Any]
    additional_evidence: str = Field(default="", max_length=MAX_BODY)


class Attestation(_Message):
    """`POST /attest`. `init-data` is null for all clients that measure their job into RTMR3."""

    init_data: Any = Field(default=None, alias="init-data")
    runtime_data: RuntimeData = Field(alias="runtime-data")
    tee_evidence: TeeEvidence = Field(alias="tee-evidence")


class QuoteEvidence(_Message):
    """Primary evidence of SGX and TDX; both members are standard base64."""

    quote: str = Field(max_length=_b64_length(MAX_QUOTE))
    cc_eventlog: str | None = Field(default=None, max_length=_b64_length(MAX_EVENT_LOG))

    _quote = field_validator("quote")(_is_base64)

    @field_validator("cc_eventlog")
    @classmethod
    def _event_log(cls, value: str | None) -> str | None:
        return value if value is None else _is_base64(value)


class SampleEvidence(_Message):
    """What Trustee's client sends without hardware: the 48-byte digest, unsigned."""

    svn: str = Field(max_length=16)
    report_data: str = Field(max_length=_b64_length(REPORT_DATA_BYTES))

    _report_data = field_validator("report_data")(_is_base64)


def runtime_digest(runtime: RuntimeData, additional_evidence: str = "", algorithm: str = "sha384") -> bytes:
    """Digest of the RFC 8785 form of nonce, key and additional evidence.

    Raises:
        ValueError: an algorithm outside HASH_ALGORITHMS.
    """
    if algorithm not in HASH_ALGORITHMS:
        raise ValueError(f"hash algorithm {algorithm!r} is not one of {HASH_ALGORITHMS}")
    document = {
        "additional-evidence": additional_evidence,
        "nonce": runtime.nonce,
        "tee-pubkey": runtime.tee_pubkey.model_dump(),
    }
    return hashlib.new(algorithm, canonical_json(document)).digest()


def report_data(runtime: RuntimeData, additional_evidence: str = "", algorithm: str = "sha384") -> bytes:
    """The 64 bytes that the quote must carry: the digest, zero padded."""
    return runtime_digest(runtime, additional_evidence, algorithm).ljust(REPORT_DATA_BYTES, b"\0")


def selected_hash(challenge: Challenge) -> str:
    """The hash that a challenge asks for (a KBS before Intel Trust Authority does), else sha384."""
    extra = challenge.extra_params
    chosen = extra.get("selected-hash-algorithm") if isinstance(extra, dict) else None
    return chosen if isinstance(chosen, str) else "sha384"


def error_body(name: str, detail: str) -> dict[str, str]:
    """Every error has this JSON body; Trustee's client parses it always."""
    return {"type": ERROR_PREFIX + name, "detail": detail}

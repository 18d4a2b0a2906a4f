"""Job tickets: what an owner signs so that one job may get the keys of named data sets.

Compact JWS, EdDSA with Ed25519, `typ` ppml-job-ticket+jwt, `kid` the RFC 7638 thumbprint of the owner's key.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ppml_ops.attestation.errors import printable
from ppml_ops.broker.jose import read_header, sign_compact, signing_key, verify_compact
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, DeniedError
from ppml_ops.files import private_dir
from ppml_ops.keys.model import DatasetId, WrappedKey

TICKET_TYPE = "ppml-job-ticket+jwt"
CLOCK_SKEW_SECONDS = 60
MAX_DATASETS = 64

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hex96 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{96}$")]
Thumbprint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Version = Annotated[int, Field(ge=1, lt=1 << 53)]
Seconds = Annotated[int, Field(ge=0, lt=1 << 53)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReadBinding(_Model):
    """A data set that the job may read, in exactly the version with this manifest."""

    dataset: DatasetId
    mode: Literal["read"] = "read"
    version: Version
    manifest_digest: Hex64
    data_key_id: Hex32
    wraps: list[WrappedKey] = Field(min_length=1, max_length=16)


class WriteBinding(_Model):
    """A data set version that the job may write; `manifest` is its manifest without version, parts and mac."""

    dataset: DatasetId
    mode: Literal["write"] = "write"
    version: Version
    data_key_id: Hex32
    wraps: list[WrappedKey] = Field(min_length=1, max_length=16)
    manifest: dict[str, Any]


Binding = Annotated[ReadBinding | WriteBinding, Field(discriminator="mode")]


class TicketClaims(_Model):
    """The signed content. Times are Unix seconds; `aud` is the trust domain; `recipients` are thumbprints."""

    jti: Hex32
    iss: Thumbprint
    aud: Hex64
    iat: Seconds
    nbf: Seconds
    exp: Seconds
    run_key: Word
    job_digest: Hex96
    purpose: Word
    recipients: list[Thumbprint] = Field(max_length=16)
    max_activations: int = Field(ge=1, le=100_000)
    datasets: list[Binding] = Field(min_length=1, max_length=MAX_DATASETS)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [(binding.dataset, binding.mode) for binding in self.datasets]
        if len(set(names)) != len(names):
            raise ValueError("a data set is named twice in the same mode")
        for binding in self.datasets:
            if isinstance(binding, WriteBinding):
                wanted = {
                    "dataset": binding.dataset,
                    "data_key_id": binding.data_key_id,
                    "trust_domain": self.aud,
                }
                if any(binding.manifest.get(name) != value for name, value in wanted.items()):
                    raise ValueError(f"the manifest to write for {binding.dataset} is of something else")
        if not self.nbf < self.exp:
            raise ValueError("it expires before it begins")
        return self


def owner_key(path: Path) -> OKPKey:
    """The owner's ticket-signing key in `path` (0600); made at first use. Its `thumbprint()` is the `kid`.

    Raises:
        ConfigError: others could read the file.
        IntegrityError: it isn't an Ed25519 key.
    """
    if not path.parent.exists():
        private_dir(path.parent)
    return signing_key(path)


def sign_ticket(claims: TicketClaims, key: OKPKey) -> str:
    """The ticket as compact JWS.

    Raises:
        ConfigError: `iss` isn't this key.
    """
    if claims.iss != key.thumbprint():
        raise ConfigError(
            "the ticket's issuer is not the key that signs it", next_step="set iss to the key's thumbprint"
        )
    return sign_compact(canonical_json(claims.model_dump(mode="json")), key, TICKET_TYPE)


def verify_ticket(
    text: str,
    *,
    owners: Mapping[str, OKPKey],
    trust_domain: str,
    now: int,
    revoked: Collection[str] = (),
) -> TicketClaims:
    """The ticket's content, when a registered owner signed it for this broker and this time.

    Args:
        text: compact JWS.
        owners: registered owner keys by thumbprint.
        trust_domain: the broker's.
        now: Unix seconds; begin and end are taken with CLOCK_SKEW_SECONDS of tolerance.
        revoked: ticket ids that are no longer valid.

    Raises:
        DeniedError: with the first reason found.
    """
    claims = authentic_ticket(text, owners=owners, trust_domain=trust_domain)
    if now < claims.nbf - CLOCK_SKEW_SECONDS:
        raise _denied(f"the job ticket begins at {claims.nbf}, now is {now}", "wait, or check the clocks")
    if now >= claims.exp + CLOCK_SKEW_SECONDS:
        raise _denied(f"the job ticket expired at {claims.exp}, now is {now}", "issue a new ticket")
    if claims.jti in revoked:
        raise _denied(f"the job ticket {claims.jti} was revoked", "issue a new ticket if the job may still run")
    return claims


def authentic_ticket(text: str, *, owners: Mapping[str, OKPKey], trust_domain: str) -> TicketClaims:
    """What one of `owners` signed for this trust domain, at whatever time; for receipts. Raises DeniedError."""
    try:
        kid = read_header(text).get("kid")
    except ValueError:
        raise _denied("the job ticket is not a signed ticket", "issue a ticket again") from None
    key = owners.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise _denied(
            "the job ticket is signed by a key that this broker does not know",
            "register the owner's key with the broker, or sign with a registered one",
        )
    try:
        claims = TicketClaims.model_validate_json(verify_compact(text, key, TICKET_TYPE))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "ticket"
        place = printable(f"{where}: {first['msg']}")
        raise _denied(f"the job ticket is malformed: {place}", "issue it again") from None
    except ValueError as error:
        raise _denied(f"the job ticket is refused: {error}", "issue a ticket again") from None
    if claims.iss != kid:
        raise _denied("the job ticket names another issuer than its signer", "issue a ticket again")
    if claims.aud != trust_domain:
        raise _denied(
            f"the job ticket is for trust domain {claims.aud[:16]}…, this broker's is {trust_domain[:16]}…",
            "issue the ticket for this broker's trust domain, or ask the broker that it names",
        )
    return claims


def _denied(what: str, next_step: str) -> DeniedError:
    return DeniedError(what, next_step=next_step)

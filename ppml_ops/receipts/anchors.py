"""Trust anchors: the one small file with which a third party verifies receipts on another machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from joserfc.jwk import OKPKey
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.broker.jose import public_jwk, public_key
from ppml_ops.broker.tickets import Hex64
from ppml_ops.errors import ConfigError, PpmlError

MAX_ANCHORS = 256 * 1024


def _jwk(value: dict[str, str]) -> dict[str, str]:
    try:
        return public_jwk(public_key(value))
    except PpmlError as error:
        raise ValueError(error.what) from None


Jwk = Annotated[dict[str, str], AfterValidator(_jwk)]
Jwks = Annotated[tuple[Jwk, ...], Field(max_length=256, strict=False)]


class Anchors(BaseModel):
    """Who may have signed what. All keys are Ed25519 public keys in JWK form.

    Attributes:
        trust_domain: SHA-256 of the attestation root that the broker appraises with.
        simulated: that root is a simulated platform's; its TEEs protect nothing.
        broker_keys: sign release records.
        owner_keys: sign job tickets, and records of destruction.
        receipt_signers: sign receipts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ppml: Literal["receipt-anchors/1"] = "receipt-anchors/1"
    trust_domain: Hex64
    simulated: bool
    broker_keys: Jwks
    owner_keys: Jwks
    receipt_signers: Jwks

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The anchors in a file.

        Raises:
            ConfigError: not such a file.
        """
        try:
            if len(data) > MAX_ANCHORS:
                raise ValueError(f"longer than {MAX_ANCHORS} bytes")
            return cls.model_validate(json.loads(data))
        except (ValidationError, ValueError, RecursionError) as error:
            detail = str(error) if not isinstance(error, ValidationError) else error.errors()[0]["msg"]
            raise ConfigError(
                f"these are no trust anchors: {detail[:200]}",
                next_step="make them with `ppml-ops receipt anchors` where the runs are made",
            ) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The anchors in the file `path`; raises as `parse`, ConfigError also when it can't be read."""
        try:
            return cls.parse(path.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"the trust anchors {path} can't be read: {error.strerror}", next_step="check the path"
            ) from None

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return self.model_dump(mode="json")


def by_thumbprint(keys: Sequence[dict[str, str]]) -> dict[str, OKPKey]:
    """Keys of anchors, by RFC 7638 thumbprint."""
    found = (public_key(jwk) for jwk in keys)
    return {key.thumbprint(): key for key in found}

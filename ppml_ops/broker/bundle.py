"""The key bundle: what a released ticket gives to the TEE, signed by the broker inside the encryption."""

from typing import Annotated, Any, Literal, Self

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ppml_ops.broker.jose import sign_compact, verify_compact
from ppml_ops.broker.tickets import Hex32, Hex64, Version
from ppml_ops.canonical import b64d, canonical_json
from ppml_ops.errors import IntegrityError
from ppml_ops.keys.model import DATA_KEY_BYTES, DatasetId

BUNDLE_TYPE = "keybundle+jws"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BundleDataset(_Model):
    """One data set: its data key (base64 of 32 bytes) and what must be read, or what may be written."""

    dataset: DatasetId
    mode: Literal["read", "write"]
    key: Annotated[str, Field(max_length=64, repr=False)]
    version: Version
    manifest_digest: Hex64 | None
    manifest: dict[str, Any] | None

    @field_validator("key")
    @classmethod
    def _key_has_length(cls, value: str) -> str:
        if len(b64d(value)) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")
        return value

    @property
    def key_bytes(self) -> bytes:
        """The data key."""
        return b64d(self.key)


class KeyBundle(_Model):
    """All data sets of one ticket; `release` is the digest of the audit record of this release."""

    ticket: Hex32
    trust_domain: Hex64
    simulated: bool
    datasets: list[BundleDataset] = Field(min_length=1)
    release: Hex64
    clear_logs: bool = False
    """Every data set's policy allows that logs of the job stay in clear."""

    @property
    def data_keys(self) -> dict[str, bytes]:
        """The data key of each data set."""
        return {item.dataset: item.key_bytes for item in self.datasets}

    def sign(self, key: OKPKey) -> bytes:
        """The bundle as compact JWS of the broker."""
        return sign_compact(canonical_json(self.model_dump(mode="json")), key, BUNDLE_TYPE).encode("ascii")

    @classmethod
    def verify(cls, data: bytes, key: OKPKey) -> Self:
        """The bundle, when the broker with `key` signed it.

        Raises:
            IntegrityError: another signer, or not a bundle.
        """
        try:
            return cls.model_validate_json(verify_compact(data.decode("ascii"), key, BUNDLE_TYPE))
        except (ValidationError, ValueError):
            # Neither message nor cause: a validation error quotes its input, which holds keys.
            raise IntegrityError(
                "the key bundle is not signed by the broker that this run trusts",
                next_step="find out who answers at the broker's address",
            ) from None

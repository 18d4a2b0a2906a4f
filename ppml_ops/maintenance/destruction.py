"""The destruction record: what was made unreadable, how, and who says so. Signed by the owner; pure."""

from typing import Any, Literal, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.broker.audit import KEY_DESTROYED, WRAP_ERASED
from ppml_ops.broker.audit_record import AuditRecord
from ppml_ops.broker.tickets import Hex32, Hex64, Thumbprint
from ppml_ops.canonical import canonical_json
from ppml_ops.keys.model import DatasetId
from ppml_ops.receipts.anchors import Anchors, by_thumbprint
from ppml_ops.receipts.signed import parse_document, untrue, verify_document

_WHAT = "the destruction record"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DestroyedWrap(_Model):
    """One wrap of the data key, by the SHA-256 of its bytes, and what was done so that it can't open again.

    `how`: the key service erased the secret of this wrap, or destroyed the version of the primary key.
    `record` is the service's signed statement, None from one that signs nothing.
    """

    key: str
    wrapped: Hex64
    how: Literal["wrap-erased", "key-destroyed"]
    record: AuditRecord | None


class Destruction(_Model):
    """A data key of which no wrap opens any more, and with it all that it alone opened. Times in Unix seconds.

    Attributes:
        versions: all those that were sealed under the data key, with the digests of their manifests.
        checked: every wrap was tried afterwards, and the key service refused each.
        searched: folders in which nothing else needed a primary key that was destroyed.
        plaintext: opened copies that were known of and still lay there.
    """

    ppml: Literal["destruction/1"] = "destruction/1"
    dataset: DatasetId
    partition: dict[str, str]
    data_key_id: Hex32
    versions: dict[str, Hex64]
    parts: int = Field(ge=0)
    sealed_bytes: int = Field(ge=0)
    wraps: tuple[DestroyedWrap, ...] = Field(min_length=1, max_length=4096)
    checked: int
    searched: tuple[str, ...]
    plaintext: tuple[str, ...]
    signer: Thumbprint
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The record in the bytes of a file, not verified. Raises IntegrityError."""
        document = parse_document(data, _WHAT)
        try:
            found = cls.model_validate(document)
            same = canonical_json(found.model_dump(mode="json")) == data
        except (ValidationError, ValueError, RecursionError):
            same = False
        if not same:
            raise untrue(_WHAT, "it is not such a record")
        return found


class VerifiedDestruction(NamedTuple):
    """An authentic record; `by_broker` of its wraps are also signed for by the key broker."""

    record: Destruction
    by_broker: int


def verify_destruction(data: bytes, anchors: Anchors) -> VerifiedDestruction:
    """The record in `data`, if the owner signed it and the broker signed what it is said to have done.

    Raises:
        IntegrityError: it is not authentic.
    """
    verify_document(parse_document(data, _WHAT), by_thumbprint(anchors.owner_keys), _WHAT)
    found = Destruction.parse(data)
    keys = [key.raw_value for key in by_thumbprint(anchors.broker_keys).values()]
    for wrap in found.wraps:
        if wrap.record is None:
            continue
        if not any(isinstance(key, Ed25519PublicKey) and _signed(wrap.record, key) for key in keys):
            raise untrue(_WHAT, f"the statement about {wrap.key} is not signed by the broker")
        if not _speaks_of(wrap, wrap.record, found.dataset, anchors.trust_domain):
            raise untrue(_WHAT, f"the broker's statement about {wrap.key} is of something else")
    return VerifiedDestruction(found, sum(wrap.record is not None for wrap in found.wraps))


def _signed(record: AuditRecord, key: Ed25519PublicKey) -> bool:
    try:
        record.verify(key)
    except ValueError:
        return False
    return True


def _speaks_of(wrap: DestroyedWrap, record: AuditRecord, dataset: str, trust_domain: str) -> bool:
    body: dict[str, Any] = record.body.model_dump(mode="json")
    wanted: dict[str, Any] = {"trust_domain": trust_domain, "event": wrap.how, "key": _short(wrap.key)}
    if wrap.how == WRAP_ERASED:
        wanted |= {"dataset": dataset, "wrapped": wrap.wrapped}
    assert wrap.how in (WRAP_ERASED, KEY_DESTROYED)
    return all(body.get(name) == value for name, value in wanted.items())


def _short(key: str) -> str:
    """The reference as the broker writes it: without the address that its client used."""
    return "broker:" + key.rpartition("/")[2].removeprefix("broker:")

"""One audit record and the rules of the chain; pure, so that anyone can verify a log or a single record.

A record is {"body", "digest", "signature"}: `digest` is the SHA-256 of the body's RFC 8785 form, `signature`
Ed25519 over that form, both in hex (base64 has unused bits that could change unseen). A line is the RFC 8785
form of the record, so no byte of a log can change without breaking it.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.errors import IntegrityError

GENESIS = "0" * 64
MAX_RECORD = 1024 * 1024


class AuditBody(BaseModel):
    """What every record has; events add members of their own (extra). `at` is in Unix seconds."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    ppml: str = "audit/1"
    seq: int = Field(ge=0, lt=1 << 53)
    at: int = Field(ge=0, lt=1 << 53)
    prev: str = Field(pattern=r"^[0-9a-f]{64}$")
    trust_domain: str = Field(pattern=r"^[0-9a-f]{64}$")
    event: str = Field(pattern=r"^[a-z-]{1,40}$")

    def get(self, name: str) -> Any:
        """A member of this event, None when it has no such one."""
        return (self.model_extra or {}).get(name)


class AuditRecord(BaseModel):
    """A signed record; `digest` names it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    body: AuditBody
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")

    @classmethod
    def sign(cls, body: AuditBody, key: Ed25519PrivateKey) -> Self:
        """Sign `body`."""
        data = canonical_json(body.model_dump(mode="json"))
        return cls(body=body, digest=sha256_hex(data), signature=key.sign(data).hex())

    def verify(self, key: Ed25519PublicKey) -> None:
        """Check digest and signature.

        Raises:
            ValueError: one of them is wrong.
        """
        data = canonical_json(self.body.model_dump(mode="json"))
        if sha256_hex(data) != self.digest:
            raise ValueError("the digest is not the body's")
        try:
            key.verify(bytes.fromhex(self.signature), data)
        except InvalidSignature:
            raise ValueError("the signature is not the broker's") from None

    def line(self) -> bytes:
        """The record as it stands in a log, without the line feed."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """The record of a line.

        Raises:
            ValueError: not a record in canonical form.
        """
        if len(line) > MAX_RECORD:
            raise ValueError("longer than a record may be")
        try:
            # json and not pydantic's parser: it refuses NaN, and integers stay exact.
            record = cls.model_validate(json.loads(line, parse_constant=_refuse_constant))
            if record.line() != line:
                raise ValueError("not in canonical form")
        except (ValidationError, RecursionError) as error:
            raise ValueError("not an audit record") from error
        return record


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def verify_lines(lines: Iterable[bytes], key: Ed25519PublicKey, *, log: str) -> Iterator[AuditRecord]:
    """The records of a log, each checked before it is given out.

    Args:
        lines: with their line feeds.
        key: the broker's.
        log: name of the log for error messages.

    Raises:
        IntegrityError: the first line that is changed, missing, inserted or of another trust domain.
    """
    previous: AuditRecord | None = None
    for number, line in enumerate(lines):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("its end is missing")
            record = AuditRecord.parse(line[:-1])
            record.verify(key)
            if record.body.seq != number:
                raise ValueError(f"it is record {record.body.seq}")
            if record.body.prev != (previous.digest if previous else GENESIS):
                raise ValueError("it does not follow the record before it")
            if previous and record.body.trust_domain != previous.body.trust_domain:
                raise ValueError("it is of another trust domain")
        except ValueError as error:
            raise IntegrityError(
                f"audit log {log} is broken at line {number + 1}: {error}",
                next_step="keep the file as evidence, and restore the log from a backup",
            ) from None
        yield record
        previous = record

"""Manifest v1: what a data-set version consists of, authenticated with the data key.

The file is the RFC 8785 JSON of the fields below; `mac` is HMAC-SHA256 under
HKDF-SHA256(data key, info "manifest/v1") over the same JSON without `mac`. A version exists when its manifest
exists. Readers refuse what they don't know: another major version, unknown fields, another encoding.
"""

import hmac
import json
from typing import Any, Final, Literal, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.datasets.identity import Hex32, Hex64, Hex80, PartPath
from ppml_ops.errors import IntegrityError
from ppml_ops.keys.model import DatasetId, WrappedKey

#: 100 000 parts take about 16 MB; more is not a manifest but an attack.
MAX_BYTES: Final = 32 << 20
_RESTORE = "restore the manifest from a good copy; do not use the data"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TableSchema(_Model):
    """How the plaintext of the parts is to be read; None in a manifest where the writer doesn't know."""

    format: str = Field(pattern=r"^[a-z0-9]{1,16}$")
    header: bool = False
    columns: tuple[str, ...] | None = Field(None, max_length=10_000, strict=False)


class Part(_Model):
    """One sealed file: path in the data set, raw length in bytes, its first 40 bytes, and where it lay."""

    path: PartPath
    length: int = Field(ge=56, lt=1 << 53)
    header: Hex80
    node: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")


class Producer(_Model):
    """Which run wrote the version, and the digest of what it was asked to write."""

    run: str = Field(max_length=200)
    spec: str = Field(max_length=128)


class ManifestHead(_Model):
    """All that is known of a version before its parts are: what a job ticket carries for an output."""

    ppml: Literal["manifest/1"] = "manifest/1"
    dataset: DatasetId
    format: Literal["sealed"] = "sealed"
    data_key_id: Hex32
    table: TableSchema | None = Field(None, alias="schema")
    partition: dict[str, str]
    wraps: tuple[WrappedKey, ...] = Field(min_length=1, max_length=64, strict=False)
    previous: Hex64 | None
    producer: Producer
    trust_domain: Hex64

    def document(self) -> dict[str, Any]:
        """As JSON data, with the field names of the format; an absent node is left out, not null."""
        document = self.model_dump(mode="json", by_alias=True)
        for part in document.get("parts", ()):
            if part["node"] is None:
                del part["node"]
        return document


class Manifest(ManifestHead):
    """One version of a sealed data set."""

    version: int = Field(ge=1, lt=1 << 31)
    parts: tuple[Part, ...] = Field(max_length=100_000, strict=False)
    mac: Hex64

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        paths = [part.path for part in self.parts]
        if paths != sorted(set(paths)):
            raise ValueError("parts are sorted by path, each once")
        return self

    def encode(self) -> bytes:
        """The file's bytes."""
        return canonical_json(self.document())

    @property
    def digest(self) -> str:
        """SHA-256 of the file, hex: what tickets and receipts name."""
        return sha256_hex(self.encode())

    def check(self, data_key: bytes) -> None:
        """Raise IntegrityError unless the manifest was written with `data_key`."""
        document = self.document()
        del document["mac"]
        if not hmac.compare_digest(_mac(document, data_key), self.mac):
            raise IntegrityError(
                f"manifest {self.version} of {self.dataset} is not authentic: changed, or of another key",
                next_step=_RESTORE,
            )


def _mac(document: dict[str, Any], data_key: bytes) -> str:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"manifest/v1").derive(data_key)
    return hmac.new(key, canonical_json(document), "sha256").hexdigest()


def build_manifest(head: ManifestHead, version: int, parts: list[Part], data_key: bytes) -> Manifest:
    """The authenticated manifest of `version` with `parts` in any order."""
    ordered = sorted(parts, key=lambda part: part.path)
    unsigned = Manifest(
        **head.document(), version=version, parts=[part.model_dump() for part in ordered], mac="0" * 64
    )
    document = unsigned.document()
    del document["mac"]
    return unsigned.model_copy(update={"mac": _mac(document, data_key)})


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in `data`, not yet authenticated (`Manifest.check` does that with the data key).

    Raises:
        IntegrityError: too large, not this version's format, or not in canonical form.
    """
    if len(data) > MAX_BYTES:
        raise IntegrityError(f"a manifest has at most {MAX_BYTES} bytes", next_step=_RESTORE)
    try:
        document = json.loads(data)
        if isinstance(document, dict) and document.get("ppml") != "manifest/1":
            raise IntegrityError(
                f"manifest format {str(document.get('ppml'))[:40]!r} is not known to this version",
                next_step="read it with the version of PPML Ops that wrote it, or a newer one",
            )
        manifest = Manifest.model_validate(document)
        canonical = manifest.encode() == data
    except (ValidationError, ValueError, RecursionError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "not JSON"
        raise IntegrityError(f"not a manifest: {detail}", next_step=_RESTORE) from None
    if not canonical:
        raise IntegrityError("the manifest is not in canonical form", next_step=_RESTORE)
    return manifest

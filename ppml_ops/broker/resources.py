"""Plain resources: small secrets for clients without a ticket, such as a stock kbs-client.

A file per resource, AES-256-GCM under the broker's master key, with its path as associated data.
"""

import os
import re
from pathlib import Path
from typing import Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppml_ops.canonical import b64d, b64e, canonical_json
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import private_dir, write_private
from ppml_ops.keys.model import DatasetId
from ppml_ops.keys.wrapping import derive

MAX_RESOURCE = 64 * 1024
TICKET_REPOSITORY = "ppml"
_PART = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_PATH = re.compile(rf"{_PART}/{_PART}/{_PART}", re.ASCII)


class Resource(BaseModel):
    """A stored resource and who may have it.

    `policy` names a data set policy whose rules must hold without a ticket; `sample` lets the unsigned
    `sample` TEE of a simulated trust domain have it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    value: str = Field(max_length=MAX_RESOURCE * 4 // 3 + 4, repr=False, description="Standard base64.")
    policy: DatasetId | None = None
    sample: bool = False

    @model_validator(mode="after")
    def _value_is_base64(self) -> Self:
        b64d(self.value)
        return self

    @property
    def content(self) -> bytes:
        """The secret."""
        return b64d(self.value)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ppml: Literal["resource/1"] = "resource/1"
    path: str
    nonce: str
    sealed: str


class ResourceStore:
    """Resources by path `repository/type/tag`.

    Args:
        folder: made when absent.
        master: the broker's 32-byte master key.
    """

    def __init__(self, folder: Path, master: bytes) -> None:
        self._folder = private_dir(folder)
        self._aead = AESGCM(derive(master, b"ppml-ops/resources/v1\0"))

    def put(self, path: str, resource: Resource) -> None:
        """Store or replace.

        Raises:
            ConfigError: not a path of a plain resource.
        """
        nonce = os.urandom(12)
        sealed = self._aead.encrypt(nonce, resource.model_dump_json().encode(), path.encode())
        stored = _File(path=path, nonce=b64e(nonce), sealed=b64e(sealed))
        write_private(self._file(path), canonical_json(stored.model_dump()))

    def get(self, path: str) -> Resource | None:
        """The resource, None when there is none.

        Raises:
            ConfigError: not a path of a plain resource.
            IntegrityError: the stored file was changed, or is of another store.
        """
        file = self._file(path)
        if not file.exists():
            return None
        try:
            stored = _File.model_validate_json(file.read_bytes())
            opened = self._aead.decrypt(b64d(stored.nonce), b64d(stored.sealed), path.encode())
            return Resource.model_validate_json(opened)
        except (ValidationError, ValueError, InvalidTag):
            raise IntegrityError(
                f"the stored resource {path} was changed, or belongs to another broker",
                next_step="put the resource again",
            ) from None

    def _file(self, path: str) -> Path:
        if not _PATH.fullmatch(path) or path.startswith(TICKET_REPOSITORY + "/"):
            raise ConfigError(
                f"{path[:80]!r} is not the path of a resource",
                next_step=f"write repository/type/tag, each of letters, digits, '-', '_'; "
                f"the repository {TICKET_REPOSITORY} is the broker's own",
            )
        return self._folder / f"{path.replace('/', '.')}.json"

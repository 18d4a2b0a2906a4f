"""One secret for each wrapped key, kept by the key service: erase it, and no copy of that wrap opens again.

A wrapped key is copied freely: into manifests, tickets, receipts and backups of all of them. Its secret is in
one place only, `<folder>/<name>/wraps/<SHA-256 of the wrapped bytes>.json`, and in backups of that folder.
"""

import secrets
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.canonical import b64d, canonical_json, sha256_hex
from ppml_ops.errors import ConfigError, DeniedError, IntegrityError
from ppml_ops.files import create_only, private_dir, write_private
from ppml_ops.keys.model import WrappedKey
from ppml_ops.keys.store import require_private

SECRET_BYTES = 32


class WrapSecret(BaseModel):
    """What is kept for one wrap; `secret` (hex) is None once `erased` (UTC, RFC 3339)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ppml: Literal["wrap-secret/1"] = "wrap-secret/1"
    key: str
    context: str
    secret: str | None = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    erased: str | None = None


def new_secret() -> bytes:
    """32 random bytes from the operating system."""
    return secrets.token_bytes(SECRET_BYTES)


def wrap_digest(wrapped: WrappedKey) -> str:
    """SHA-256 of the wrapped bytes: how a wrap is named where it must not be copied."""
    return sha256_hex(b64d(wrapped.wrapped))


class WrapSecrets:
    """The secrets of the wraps that one folder's keys have made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, wrapped: WrappedKey, context: str, secret: bytes) -> None:
        """Keep the secret of a new wrap; on disk when this returns, so that no wrap is given out without."""
        path = self._path(wrapped)
        if not path.parent.exists():
            private_dir(path.parent)
        create_only(path, _encode(wrapped, context, secret.hex(), None), mode=0o600)

    def find(self, wrapped: WrappedKey, context: str) -> bytes:
        """The secret of `wrapped`.

        Raises:
            DeniedError: it was erased.
            IntegrityError: it isn't there, or is of another key or data set.
        """
        stored = self._read(wrapped, context)
        if stored.secret is None:
            raise DeniedError(
                f"this wrapped key of data set {context} was erased on {stored.erased}",
                next_step="what only it could open is gone for good",
            )
        return bytes.fromhex(stored.secret)

    def erase(self, wrapped: WrappedKey, context: str, stamp: str) -> str:
        """Replace the secret by a tombstone; returns when it was erased. Again without effect.

        Raises:
            IntegrityError: it isn't there, or is of another key or data set.
        """
        stored = self._read(wrapped, context)
        if stored.erased is None:
            write_private(self._path(wrapped), _encode(wrapped, context, None, stamp))
        return stored.erased or stamp

    def _path(self, wrapped: WrappedKey) -> Path:
        return self._folder / wrapped.ref.name / "wraps" / f"{wrap_digest(wrapped)}.json"

    def _read(self, wrapped: WrappedKey, context: str) -> WrapSecret:
        path = self._path(wrapped)
        stored = None
        try:
            require_private(path)
            stored = WrapSecret.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError):
            pass
        except OSError as error:
            raise ConfigError(f"{path} can't be read: {error.strerror}", next_step="check its rights") from None
        if stored is None or (stored.key, stored.context) != (_short(wrapped), context):
            raise IntegrityError(
                f"the wrapped key of data set {context} does not open under {wrapped.key}: the secret that "
                "belongs to it is not in this key service",
                next_step="restore the key service's folder from the owner's backup, or use the service that "
                "made the wrap",
            )
        return stored


def _short(wrapped: WrappedKey) -> str:
    """The key's name and version; its address may differ between those who use it."""
    return f"{wrapped.ref.name}?version={wrapped.ref.version}"


def _encode(wrapped: WrappedKey, context: str, secret: str | None, erased: str | None) -> bytes:
    stored = WrapSecret(key=_short(wrapped), context=context, secret=secret, erased=erased)
    return canonical_json(stored.model_dump())

"""Registered owners: whose signature makes a job ticket. `<folder>/<thumbprint>.json` holds a public JWK."""

import json
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from ppml_ops.broker.jose import public_jwk, public_key
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import IntegrityError
from ppml_ops.files import private_dir, write_private


class OwnerStore:
    """Public keys of owners, by RFC 7638 thumbprint."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_dir(folder)

    def register(self, jwk: Any) -> str:
        """Accept tickets signed by this Ed25519 public key (JWK); returns its thumbprint.

        Raises:
            ConfigError: not such a key.
        """
        key = public_key(jwk)
        thumbprint = key.thumbprint()
        write_private(self._folder / f"{thumbprint}.json", canonical_json(public_jwk(key)))
        return thumbprint

    def all(self) -> dict[str, OKPKey]:
        """Every registered key.

        Raises:
            IntegrityError: a file is not the key that its name says.
        """
        owners = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                key = public_key(json.loads(path.read_bytes()))
                matches = key.thumbprint() == path.stem
            except ValueError:
                matches = False
            if not matches:
                raise IntegrityError(
                    f"{path} is not a registered owner key", next_step="register the key again"
                )
            owners[path.stem] = key
        return owners

"""Documents that audit records name by digest: evidence, collateral, tickets, policies. For replays."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from ppml_ops.errors import IntegrityError
from ppml_ops.files import create_only, private_dir

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Archive:
    """A folder of files named by the SHA-256 of their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_dir(folder)

    def put(self, data: bytes) -> str:
        """Keep `data`; returns its SHA-256, 64 hex digits. The same data are kept once."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / digest
        if not path.exists():
            with suppress(FileExistsError):
                create_only(path, data, mode=0o600)
        return digest

    def get(self, digest: str) -> bytes:
        """The document with this digest.

        Raises:
            IntegrityError: it isn't there any more, or was changed.
        """
        path = self._folder / digest
        if _DIGEST.fullmatch(digest) and path.is_file():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        raise IntegrityError(
            f"the archived document {digest[:64]} is missing or changed",
            next_step="restore the broker's evidence folder from a backup",
        )

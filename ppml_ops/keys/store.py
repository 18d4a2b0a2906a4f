"""Files of primary keys: `<folder>/<name>/<version>.json`, mode 0600 in folders of mode 0700."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import create_only, private_dir, write_private

_VERSION_FILE = re.compile(r"([1-9][0-9]{0,6})\.json")


class StoredKey(BaseModel):
    """One version on disk; `key` (base64) is None once destroyed, and wrapped when `protection` says so."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ppml: Literal["primary-key/1"] = "primary-key/1"
    name: str
    version: int
    created: str
    protection: Literal["none", "master"]
    key: str | None
    destroyed: str | None = None


def require_private(path: Path) -> None:
    """Check that only the owner of `path` may use it.

    Raises:
        ConfigError: group or others have any right on it.
        FileNotFoundError: nothing is there.
    """
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        wanted = 0o700 if path.is_dir() else 0o600
        raise ConfigError(
            f"{path} has mode {mode:04o}: others on this machine could read keys",
            next_step=f"find out who could read it, then: chmod {wanted:o} {path}",
        )


class KeyFolder:
    """A folder of stored keys; made when the first key is, checked at every use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, version: int) -> Path:
        """Where one version lies."""
        return self.folder / name / f"{version}.json"

    def names(self) -> Sequence[str]:
        """Names of all keys, sorted."""
        if not self.folder.exists():
            return []
        require_private(self.folder)
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir())

    def versions(self, name: str) -> Sequence[StoredKey]:
        """All versions of a key, oldest first; empty when there is none.

        Raises:
            ConfigError: looser modes than 0700 and 0600.
            IntegrityError: a file is not what its name says.
        """
        folder = self.folder / name
        if not folder.is_dir():
            return []
        require_private(self.folder)
        require_private(folder)
        found = [
            _read(path, int(match[1]))
            for path in folder.iterdir()
            if (match := _VERSION_FILE.fullmatch(path.name))
        ]
        return sorted(found, key=lambda stored: stored.version)

    def publish(self, stored: StoredKey) -> None:
        """Store a new version unless another process was faster: then that one is the key."""
        for folder in (self.folder, self.folder / stored.name):
            # Existing folders are checked, not repaired: what lies in them may have leaked.
            if folder.exists():
                require_private(folder)
            else:
                private_dir(folder)
        try:
            create_only(self.path(stored.name, stored.version), _encode(stored), mode=0o600)
        except FileExistsError:
            return

    def replace(self, stored: StoredKey) -> None:
        """Put `stored` in the place of the same version, in one step."""
        write_private(self.path(stored.name, stored.version), _encode(stored))


def _encode(stored: StoredKey) -> bytes:
    return canonical_json(stored.model_dump())


def _read(path: Path, version: int) -> StoredKey:
    require_private(path)
    try:
        stored = StoredKey.model_validate_json(path.read_bytes())
    except ValidationError:
        stored = None
    if stored is None or (stored.name, stored.version) != (path.parent.name, version):
        raise IntegrityError(
            f"{path} is not the stored primary key that its name says",
            next_step="restore it from the owner's backup",
        )
    return stored

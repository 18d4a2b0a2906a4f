"""Key service `local:`: a folder of versioned primary keys, for the owner's own machine.

Versions are published create-only, so two creators at once agree on one key. A destroyed version keeps its
file without the key. The key broker's keystore is the same folder with a master key.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from ppml_ops.canonical import b64d, b64e
from ppml_ops.errors import ConfigError, DeniedError, IntegrityError
from ppml_ops.keys.erasable import WrapSecrets, new_secret
from ppml_ops.keys.model import (
    DATA_KEY_BYTES,
    ERASABLE_ALGORITHM,
    MAX_VERSION,
    KeyInfo,
    KeyRef,
    KeyVersion,
    WrappedKey,
)
from ppml_ops.keys.store import KeyFolder, StoredKey
from ppml_ops.keys.wrapping import derive, unwrap_data_key, wrap_data_key

_MASTER_INFO = b"ppml-ops/master/v1\0"


def local_key_service(location: str, home: Path) -> "LocalKeyService":
    """The service of `local:` URIs: `<home>/keys`, or the absolute folder that `location` names.

    Raises:
        ConfigError: a relative folder, which would mean another one in every process.
    """
    if not location:
        return LocalKeyService(home / "keys")
    if not location.startswith("/") or location.startswith("//"):
        raise ConfigError(
            f"local:{location} is not an absolute folder", next_step="write local:/absolute/folder/name"
        )
    return LocalKeyService(Path(location))


class LocalKeyService:
    """Primary keys in a folder.

    Args:
        folder: where the keys lie; made when the first key is.
        master: 32 bytes that wrap the stored keys; without it they lie open in the private folder.
        now: clock for the `created` dates.
    """

    def __init__(
        self,
        folder: Path,
        *,
        master: bytes | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = KeyFolder(folder)
        self._secrets = WrapSecrets(folder)
        self._master = master
        self._now = now

    def create(self, ref: KeyRef) -> KeyRef:
        """Get or create; raises DeniedError when the current version was destroyed."""
        if not self._store.versions(ref.name):
            self._publish(ref.name, 1)
        return ref.with_version(self._current(ref).version)

    def describe(self, ref: KeyRef) -> KeyInfo:
        """The key's versions and their states."""
        return _info(self._existing(ref))

    def list(self) -> list[KeyInfo]:
        """All keys in the folder, by name."""
        found = (self._store.versions(name) for name in self._store.names())
        return [_info(stored) for stored in found if stored]

    def rotate(self, ref: KeyRef) -> KeyRef:
        """Add a version; two rotations at the same moment agree on one new version."""
        version = self._existing(ref)[-1].version + 1
        if version > MAX_VERSION:
            raise ConfigError(
                f"{ref.unversioned()} has {MAX_VERSION} versions", next_step="start a key of another name"
            )
        self._publish(ref.name, version)
        return ref.with_version(version)

    def destroy(self, ref: KeyRef) -> None:
        """Replace the version's file by a tombstone. Backups of the folder are the owner's to destroy.

        Raises:
            ConfigError: `ref` names no version, or one that doesn't exist.
        """
        if ref.version is None:
            raise ConfigError(
                f"which version of {ref} to destroy is not said", next_step=f"name it: {ref}?version=1"
            )
        stored = self._find(ref)
        if stored.destroyed is None:
            self._store.replace(stored.model_copy(update={"key": None, "destroyed": self._stamp()}))

    def wrap(self, ref: KeyRef, data_key: bytes, context: str) -> WrappedKey:
        """Wrap by the current version; a decrypt-only version is refused."""
        if ref.version is not None:
            self._find(ref)
        current = self._current(ref)
        if ref.version not in (None, current.version):
            raise ConfigError(
                f"{ref} only unwraps; the current version is {current.version}",
                next_step=f"wrap with {ref.unversioned()}",
            )
        used, secret = ref.with_version(current.version), new_secret()
        wrapped = wrap_data_key(self._material(current), used, data_key, context, secret)
        self._secrets.keep(wrapped, context, secret)
        return wrapped

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """The data key in `wrapped`, by any version that isn't destroyed, unless the wrap was erased."""
        erasable = wrapped.algorithm == ERASABLE_ALGORITHM
        secret = self._secrets.find(wrapped, context) if erasable else b""
        return unwrap_data_key(self._material(self._find(wrapped.ref)), wrapped, context, secret)

    def erase(self, wrapped: WrappedKey, context: str) -> dict[str, Any]:
        """Erase the secret of one wrap, see `ErasableWraps`. This service signs nothing."""
        if wrapped.algorithm != ERASABLE_ALGORITHM:
            raise ConfigError(
                f"a wrapped key of data set {context} has no secret of its own to erase",
                next_step=f"destroy {wrapped.key} when nothing else needs it",
            )
        return {"erased": self._secrets.erase(wrapped, context, self._stamp())}

    def _publish(self, name: str, version: int) -> None:
        key = secrets.token_bytes(DATA_KEY_BYTES)
        if self._master is not None:
            key = aes_key_wrap(_master_kek(self._master, name, version), key)
        stored = StoredKey(
            name=name,
            version=version,
            created=self._stamp(),
            protection="none" if self._master is None else "master",
            key=b64e(key),
        )
        self._store.publish(stored)

    def _material(self, stored: StoredKey) -> bytes:
        label = f"{stored.name}?version={stored.version}"
        if stored.key is None:
            raise DeniedError(
                f"primary key {label} was destroyed on {stored.destroyed}",
                next_step="what only it could open is gone for good; for new data rotate the key",
            )
        if (stored.protection == "master") != (self._master is not None):
            state = "not wrapped by a master key" if self._master else "wrapped by a master key"
            raise ConfigError(
                f"primary key {label} in {self._store.folder} is {state}",
                next_step="open this folder by the kind of service that made it: key broker or local:",
            )
        try:
            key = b64d(stored.key)
            if self._master is not None:
                key = aes_key_unwrap(_master_kek(self._master, stored.name, stored.version), key)
        except (InvalidUnwrap, ValueError):
            key = b""
        if len(key) != DATA_KEY_BYTES:
            raise IntegrityError(
                f"primary key {label} can't be read: its file was changed, or it belongs to another store "
                "or trust domain",
                next_step=f"restore {self._store.path(stored.name, stored.version)} from the owner's backup",
            )
        return key

    def _existing(self, ref: KeyRef) -> Sequence[StoredKey]:
        stored = self._store.versions(ref.name)
        if not stored:
            raise ConfigError(
                f"there is no primary key {ref.unversioned()} in {self._store.folder}",
                next_step=f"ppml-ops keys create {ref.unversioned()}, or correct the reference",
                who="the data owner",
            )
        return stored

    def _find(self, ref: KeyRef) -> StoredKey:
        for stored in self._existing(ref):
            if stored.version == ref.version:
                return stored
        raise ConfigError(
            f"primary key {ref.unversioned()} has no version {ref.version}",
            next_step=f"see ppml-ops keys show {ref.unversioned()}",
            who="the data owner",
        )

    def _current(self, ref: KeyRef) -> StoredKey:
        newest = self._existing(ref)[-1]
        if newest.destroyed is not None:
            raise DeniedError(
                f"the current version of {ref.unversioned()} was destroyed on {newest.destroyed}",
                next_step=f"ppml-ops keys rotate {ref.unversioned()}",
            )
        return newest

    def _stamp(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _master_kek(master: bytes, name: str, version: int) -> bytes:
    return derive(master, _MASTER_INFO + f"{name}?version={version}".encode())


def _info(versions: Sequence[StoredKey]) -> KeyInfo:
    newest = versions[-1]
    return KeyInfo(
        name=newest.name,
        current=None if newest.destroyed else newest.version,
        versions=[
            KeyVersion(
                version=one.version,
                created=one.created,
                state="destroyed" if one.destroyed else "active" if one is newest else "decrypt-only",
            )
            for one in versions
        ],
    )

"""Key service `simple:PATH`: primary key files of BigDL PPML, SimpleKMS ones and plaintext AES keys.

For the original's files only: it wraps none of our data keys. Every use says why these keys are weak.
"""

import logging
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path

from ppml_ops.canonical import b64e
from ppml_ops.crypto.bigdl.keyfile import (
    MAX_BYTES,
    PrimaryKey,
    SimplePrimary,
    encode_key_file,
    parse_key_file,
)
from ppml_ops.crypto.bigdl.plainkey import plain_unwrap, plain_wrap
from ppml_ops.crypto.bigdl.simplekms import PRIMARY_KEY, simple_unwrap, simple_wrap
from ppml_ops.errors import ConfigError
from ppml_ops.files import create_only
from ppml_ops.keys.model import KeyInfo, KeyRef, KeyVersion, WrappedKey
from ppml_ops.keys.original import OriginalDataKey

_LOG = logging.getLogger("ppml_ops.keys")
_DATA_KEY_BYTES = 32
_DIGITS = "0123456789"


class SimpleKeyService:
    """Key files in a folder. A file is one key of one version, without a date of its own.

    Args:
        location: of the URI: "" for the working folder, else a folder with its last "/"; "~/" is the user's.

    Raises:
        ConfigError: a location on another host.
    """

    def __init__(self, location: str = "") -> None:
        if location.startswith("//"):
            raise ConfigError(
                f"simple:{location} is not a folder of this machine", next_step="write simple:/folder/name"
            )
        self._folder = Path(location or ".").expanduser()

    def create(self, ref: KeyRef) -> KeyRef:
        """Get or create a SimpleKMS key file, mode 0600; its first 12 digits are the application id.

        Raises:
            ConfigError: a file lies there that is no key, or none can be made.
        """
        path = self._path(ref)
        text = "".join(secrets.choice(_DIGITS) for _ in range(PRIMARY_KEY))
        try:
            create_only(path, encode_key_file(SimplePrimary(text)), mode=0o600)
        except FileExistsError:
            self._read(ref)
        except OSError as error:
            raise ConfigError(f"can't write {path}: {error.strerror}", next_step="check the path") from None
        return ref

    def describe(self, ref: KeyRef) -> KeyInfo:
        """The one version of the key; its date is that of the file."""
        self._read(ref)
        changed = datetime.fromtimestamp(self._path(ref).stat().st_mtime, UTC)
        version = KeyVersion(version=1, state="active", created=changed.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return KeyInfo(name=ref.name, current=1, versions=[version])

    def list(self) -> list[KeyInfo]:
        """All key files in the folder, by name; other files are left out."""
        found = []
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            try:
                ref = KeyRef.parse(f"simple:{path.name}")
                found.append(self.describe(ref))
            except ConfigError:
                continue
        return found

    def rotate(self, ref: KeyRef) -> KeyRef:
        """Refused with ConfigError: a key file has no versions."""
        raise ConfigError(
            f"{ref} has no versions: a primary key file of BigDL PPML is one key",
            next_step="seal the data with a key of another service: ppml-ops data migrate",
        )

    def destroy(self, ref: KeyRef) -> None:
        """Refused with ConfigError: copies of a key file are nobody's to know."""
        raise ConfigError(
            f"{ref} is a plain file, of which there may be copies",
            next_step="migrate what it opens, then remove the file and all its copies",
        )

    def wrap(self, ref: KeyRef, data_key: bytes, context: str) -> WrappedKey:
        """Refused with ConfigError."""
        raise self._only_original(ref)

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """Refused with ConfigError."""
        raise self._only_original(wrapped.ref)

    def original_keys(self, ref: KeyRef) -> "PrimaryKeyFile":
        """The key in the file that `ref` names; logs once why it is weak."""
        keys = PrimaryKeyFile(self._read(ref))
        _LOG.warning("%s is weak: %s", ref, keys.weakness)
        return keys

    def _path(self, ref: KeyRef) -> Path:
        if ref.version not in (None, 1):
            raise ConfigError(f"{ref} has only version 1", next_step=f"write {ref.unversioned()}")
        return self._folder / ref.name

    def _read(self, ref: KeyRef) -> PrimaryKey:
        path = self._path(ref)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ConfigError(f"{path} is not a file", next_step="name a primary key file")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                f"there is no primary key file at {path.absolute()} that can be read: {error.strerror}",
                next_step=f"correct the path, or make one: ppml-ops keys create {ref}",
                who="the data owner",
            ) from None
        try:
            return parse_key_file(data)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error.what}", next_step=error.next_step) from None

    @staticmethod
    def _only_original(ref: KeyRef) -> ConfigError:
        return ConfigError(
            f"{ref} wraps keys of BigDL PPML's files only: it is too weak for sealed data",
            next_step="name a key of local: or broker:",
        )


class PrimaryKeyFile:
    """A primary key at work: see `OriginalKeys`."""

    def __init__(self, primary: PrimaryKey) -> None:
        self._primary = primary

    @property
    def weakness(self) -> str:
        """Why this key protects little, in one sentence."""
        if isinstance(self._primary, SimplePrimary):
            return (
                "its data keys have about 13 bits, so whoever has the files finds the key in a second; "
                "use it for data that are or must be BigDL PPML's, and migrate them"
            )
        return (
            "data keys are wrapped without integrity, and those that BigDL PPML made with it have 32 bits; "
            "use it for data that are or must be BigDL PPML's, and migrate them"
        )

    def new(self) -> OriginalDataKey:
        """A data key that fills both keys of a file, which the original's own with a plaintext key does not."""
        if isinstance(self._primary, SimplePrimary):
            wrapped = simple_wrap(
                self._primary.text, "".join(secrets.choice(_DIGITS) for _ in range(PRIMARY_KEY))
            )
            return OriginalDataKey(simple_unwrap(self._primary.text, wrapped), wrapped)
        text = b64e(secrets.token_bytes(_DATA_KEY_BYTES))
        return OriginalDataKey(text, plain_wrap(self._primary.key, text))

    def open(self, wrapped: str) -> str:
        """The data key in `wrapped`; IntegrityError when it was surely wrapped by something else."""
        if isinstance(self._primary, SimplePrimary):
            return simple_unwrap(self._primary.text, wrapped)
        return plain_unwrap(self._primary.key, wrapped)

    def native(self) -> bytes:
        """The plaintext primary key itself; ConfigError for a SimpleKMS key."""
        if isinstance(self._primary, SimplePrimary):
            raise ConfigError(
                "files of the original's nativeaescbc are encrypted with a plaintext primary key",
                next_step="name the file that has it, base64 in one line",
            )
        return self._primary.key

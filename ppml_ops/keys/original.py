"""Data keys of BigDL PPML's own files: text that a key service makes and wraps by rules of its own.

A key service that can do so has a method `original_keys`; `simple:` does. Ours are 32 bytes and wrapped by
`KeyService.wrap` instead.
"""

from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import KeyRef
from ppml_ops.keys.service import key_service_for


class OriginalDataKey(NamedTuple):
    """A data key's text, and the wrapped form that goes into headers and `.meta`. Its `repr` hides the text."""

    text: str
    wrapped: str

    def __repr__(self) -> str:
        return f"OriginalDataKey(wrapped={self.wrapped!r})"


class OriginalKeys(Protocol):
    """One primary key at work on data keys of the original."""

    def new(self) -> OriginalDataKey:
        """A fresh data key of 32 characters or more."""

    def open(self, wrapped: str) -> str:
        """The data key in `wrapped`; IntegrityError when it was surely wrapped by something else."""

    def native(self) -> bytes:
        """The AES key of `nativeaescbc` files, which have no data key; ConfigError when this is none."""


@runtime_checkable
class WrapsOriginalKeys(Protocol):
    """A key service for the original's files."""

    def original_keys(self, ref: KeyRef) -> OriginalKeys:
        """The primary key that `ref` names; ConfigError when there is none."""


def original_keys_for(uri: str, *, home: Path) -> OriginalKeys:
    """The primary key at `uri`, for example `simple:/folder/primaryKey`.

    Raises:
        ConfigError: no such key, or a key service that knows nothing of the original's files.
    """
    ref = KeyRef.parse(uri)
    service = key_service_for(ref, home=home)
    if not isinstance(service, WrapsOriginalKeys):
        raise ConfigError(
            f"{ref} is no key of BigDL PPML's files",
            next_step="name the primary key file that they were made with: simple:/folder/primaryKey",
        )
    return service.original_keys(ref)

"""Names and shapes of keys: references, wrapped data keys and what a service tells about a key."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from ppml_ops.canonical import b64d
from ppml_ops.errors import ConfigError

WrapAlgorithm = Literal["HKDF-SHA256+A256KW", "HKDF-SHA256-SECRET+A256KW"]
WRAP_ALGORITHM: WrapAlgorithm = "HKDF-SHA256+A256KW"
#: The key service keeps a secret for each such wrap and can erase it, see `ppml_ops.keys.erasable`.
ERASABLE_ALGORITHM: WrapAlgorithm = "HKDF-SHA256-SECRET+A256KW"
DATA_KEY_BYTES = 32
WRAPPED_KEY_BYTES = DATA_KEY_BYTES + 8  # RFC 3394 adds one 64-bit block
DATASET_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
MAX_REFERENCE = 1024
MAX_VERSION = 1_000_000

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}", re.ASCII)
NAME_PATTERN = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_LOCATION = re.compile(r"([!-~]*/)?", re.ASCII)
_VERSION = re.compile(r"version=([1-9][0-9]{0,6})", re.ASCII)

DatasetId = Annotated[str, StringConstraints(pattern=DATASET_PATTERN)]


def split_uri(uri: str) -> tuple[str, str, str]:
    """`scheme:location/name?query` as (scheme, location with its last "/", the rest).

    Raises:
        ConfigError: no scheme, or characters that no key URI has.
    """
    scheme, colon, rest = uri.partition(":")
    path, question, query = rest.partition("?")
    slash = path.rfind("/") + 1
    location = path[:slash]
    if (
        not colon
        or len(uri) > MAX_REFERENCE
        or not _SCHEME.fullmatch(scheme)
        or not _LOCATION.fullmatch(location)
    ):
        raise ConfigError(
            f"{uri[:80]!r} is not the address of a key service",
            next_step="write scheme:name, for example local:people or broker:people?version=1",
        )
    return scheme, location, path[slash:] + question + query


class KeyRef(BaseModel):
    """Address of a primary key: `scheme:[location/]name[?version=N]`; without a version the current one.

    `location` is what lies before the name, with its last "/": "" for the service's default place,
    "/abs/dir/" for a folder, "//host:port/" for a server.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheme: str
    name: str = Field(pattern=f"^{NAME_PATTERN}$")  # it becomes a file name
    version: int | None = Field(None, ge=1, le=MAX_VERSION)
    location: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reference written as `text`; `str()` gives it back.

        Raises:
            ConfigError: not such a reference.
        """
        scheme, location, rest = split_uri(text)
        name, question, query = rest.partition("?")
        version = _VERSION.fullmatch(query) if question else None
        if not _NAME.fullmatch(name) or (question and version is None):
            raise ConfigError(
                f"{text[:80]!r} is not a key reference: the part after the scheme must be a name, "
                "and the only option is version=N",
                next_step="write for example local:people, local:/folder/people or broker:people?version=1",
            )
        number = int(version[1]) if version else None
        if number is not None and number > MAX_VERSION:
            raise ConfigError(
                f"key version {number} is beyond {MAX_VERSION}", next_step="name an existing version"
            )
        return cls(scheme=scheme, name=name, version=number, location=location)

    def with_version(self, version: int) -> Self:
        """The same key at `version`."""
        return self.model_copy(update={"version": version})

    def unversioned(self) -> Self:
        """The same key without a version."""
        return self.model_copy(update={"version": None})

    def __str__(self) -> str:
        """The text that `parse` reads."""
        suffix = "" if self.version is None else f"?version={self.version}"
        return f"{self.scheme}:{self.location}{self.name}{suffix}"


class WrappedKey(BaseModel):
    """A data key wrapped by one version of a primary key; safe to store beside the data."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    key: str = Field(max_length=MAX_REFERENCE, description="Key reference with its version.")
    algorithm: WrapAlgorithm = WRAP_ALGORITHM
    wrapped: str = Field(max_length=64, description="RFC 3394 output, standard base64.")

    @field_validator("key")
    @classmethod
    def _key_has_version(cls, value: str) -> str:
        try:
            version = KeyRef.parse(value).version
        except ConfigError as error:
            raise ValueError(error.what) from None
        if version is None:
            raise ValueError("a wrapped key names the version of its primary key")
        return value

    @field_validator("wrapped")
    @classmethod
    def _wrapped_has_length(cls, value: str) -> str:
        if len(b64d(value)) != WRAPPED_KEY_BYTES:
            raise ValueError(f"a wrapped data key has {WRAPPED_KEY_BYTES} bytes")
        return value

    @property
    def ref(self) -> KeyRef:
        """The primary key that opens this one."""
        return KeyRef.parse(self.key)


class KeyVersion(BaseModel):
    """One version of a primary key; `created` is UTC, RFC 3339."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1, le=MAX_VERSION)
    state: Literal["active", "decrypt-only", "destroyed"]
    created: str


class KeyInfo(BaseModel):
    """What a key service tells about a primary key; never key material.

    `current` is the version that new data keys are wrapped by, None when it was destroyed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    current: int | None
    versions: list[KeyVersion]

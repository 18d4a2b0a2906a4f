"""The key service interface, and the registry that finds a service by the scheme of a URI."""

import secrets
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import DATA_KEY_BYTES, KeyInfo, KeyRef, WrappedKey, split_uri

if TYPE_CHECKING:
    from ppml_ops.keys.broker import BrokerSite

ENTRY_POINT_GROUP = "ppml_ops.key_services"


class KeyService(Protocol):
    """Makes, wraps and unwraps; stateless and cheap to construct.

    Every method raises ConfigError for an unknown key or wrong installation and TransientError when the
    service is away.
    """

    def create(self, ref: KeyRef) -> KeyRef:
        """Get or create; the reference with the current version."""

    def describe(self, ref: KeyRef) -> KeyInfo:
        """The key's versions and their states."""

    def list(self) -> list[KeyInfo]:
        """All keys of this service, by name."""

    def rotate(self, ref: KeyRef) -> KeyRef:
        """Add a version and make it current; the older ones only unwrap from now on."""

    def destroy(self, ref: KeyRef) -> None:
        """Remove the key material of the version that `ref` names; a tombstone stays. Can't be undone."""

    def wrap(self, ref: KeyRef, data_key: bytes, context: str) -> WrappedKey:
        """Wrap a 32-byte data key for the data set `context` by the current version."""

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """The data key; IntegrityError for a wrong key or context, DeniedError for a destroyed version."""


@runtime_checkable
class ErasableWraps(Protocol):
    """A key service that can make one of its wraps useless, wherever copies of it lie."""

    def erase(self, wrapped: WrappedKey, context: str) -> dict[str, Any]:
        """Erase what only this service has and `wrapped` needs; again without effect. Can't be undone.

        Returns what the service says about it: `erased` (UTC), and `record`, signed, if it can sign.

        Raises:
            ConfigError: the wrap is not of such a kind.
            IntegrityError: it is not of this service.
        """


Factory = Callable[[str, Path], KeyService]
"""(location of the URI, state folder) → service."""


def _local(location: str, home: Path) -> KeyService:
    from ppml_ops.keys.local import local_key_service

    return local_key_service(location, home)


def _broker(location: str, home: Path) -> KeyService:
    from ppml_ops.keys.broker import BrokerKeyService

    return BrokerKeyService(home / "broker", location)


def _simple(location: str, _home: Path) -> KeyService:
    from ppml_ops.keys.simple import SimpleKeyService

    return SimpleKeyService(location)


_factories: dict[str, Factory] = {"local": _local, "broker": _broker, "simple": _simple}


def register(scheme: str, factory: Factory) -> None:
    """Serve URIs of `scheme` by `factory`, in this process; replaces an earlier one.

    Packages register for every process through the entry point group `ppml_ops.key_services`.
    """
    _factories[scheme] = factory


def _factory(scheme: str) -> Factory:
    if scheme in _factories:
        return _factories[scheme]
    plugins = entry_points(group=ENTRY_POINT_GROUP)
    for plugin in plugins:
        if plugin.name == scheme:
            factory: Factory = plugin.load()
            return factory
    known = sorted({*_factories, *plugins.names})
    raise ConfigError(
        f"no key service for the scheme {scheme!r}; known: {', '.join(known)}",
        next_step="correct the key's URI, or install the package that brings this key service",
    )


def key_service_for(uri: str | KeyRef, *, home: Path, broker: "BrokerSite | None" = None) -> KeyService:
    """The service that `uri` addresses: a key reference, or a scheme with a location ending in "/" or none.

    Args:
        uri: for example `broker:`, `local:people` or `local:/abs/folder/`.
        home: the state folder (PPML_OPS_HOME).
        broker: what `broker:` means, when it is not the state folder's own one.

    Raises:
        ConfigError: malformed, or a scheme that nobody serves.
    """
    scheme, location, _name = (uri.scheme, uri.location, "") if isinstance(uri, KeyRef) else split_uri(uri)
    if broker is not None and (scheme, location) == ("broker", ""):
        from ppml_ops.keys.broker import BrokerKeyService

        return BrokerKeyService(home / "broker", site=broker)
    return _factory(scheme)(location, home)


def new_data_key() -> bytes:
    """32 random bytes from the operating system."""
    return secrets.token_bytes(DATA_KEY_BYTES)


def rewrap(service: KeyService, wrapped: WrappedKey, context: str) -> WrappedKey:
    """The same data key under the current version of its primary key; the data stay as they are."""
    return service.wrap(wrapped.ref.unversioned(), service.unwrap(wrapped, context), context)

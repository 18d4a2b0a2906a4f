"""The contract that every key service keeps, run against `local:` and against a broker over TLS."""

from collections.abc import Iterator

import pytest

from ppml_ops.errors import ConfigError, DeniedError, IntegrityError
from ppml_ops.keys import KeyRef, KeyService, WrappedKey, key_service_for, new_data_key, rewrap
from ppml_ops.keys.broker import read_endpoint
from ppml_ops.keys.service import ErasableWraps

from .conftest import Site

_NUMBER = iter(range(1000))


@pytest.fixture(params=["local:", "broker:", "broker://"])
def prefix(request: pytest.FixtureRequest, site: Site) -> str:
    """Start of a key reference of each kind."""
    if request.param == "broker://":
        return read_endpoint(site.home / "broker")[0].replace("https:", "broker:") + "/"
    return str(request.param)


@pytest.fixture
def ref(prefix: str) -> KeyRef:
    """A key that nobody used yet."""
    return KeyRef.parse(f"{prefix}fresh-{next(_NUMBER)}")


@pytest.fixture
def service(ref: KeyRef, site: Site) -> Iterator[KeyService]:
    """The service of `ref`."""
    yield key_service_for(ref, home=site.home)


def test_create_is_get_or_create(service: KeyService, ref: KeyRef) -> None:
    assert service.create(ref) == service.create(ref) == ref.with_version(1)
    info = service.describe(ref)
    assert (info.name, info.current) == (ref.name, 1)
    assert [version.state for version in info.versions] == ["active"]
    assert ref.name in [one.name for one in service.list()]


def test_wrap_and_unwrap(service: KeyService, ref: KeyRef) -> None:
    service.create(ref)
    key = new_data_key()
    wrapped = service.wrap(ref, key, "sim-people")
    assert wrapped.ref == ref.with_version(1)
    assert service.unwrap(wrapped, "sim-people") == key
    assert service.unwrap(WrappedKey.model_validate_json(wrapped.model_dump_json()), "sim-people") == key


def test_context_and_key_are_bound(service: KeyService, ref: KeyRef) -> None:
    service.create(ref)
    wrapped = service.wrap(ref, new_data_key(), "sim-people")
    with pytest.raises(IntegrityError, match="does not open"):
        service.unwrap(wrapped, "sim-other")
    other = ref.model_copy(update={"name": ref.name + "-other"})
    service.create(other)
    moved = wrapped.model_copy(update={"key": str(other.with_version(1))})
    with pytest.raises(IntegrityError, match="does not open"):
        service.unwrap(moved, "sim-people")


def test_rotate(service: KeyService, ref: KeyRef) -> None:
    service.create(ref)
    key = new_data_key()
    old = service.wrap(ref, key, "sim-people")
    assert service.rotate(ref) == ref.with_version(2)
    assert service.create(ref) == ref.with_version(2)
    assert service.unwrap(old, "sim-people") == key
    new = rewrap(service, old, "sim-people")
    assert new.ref.version == 2
    assert service.unwrap(new, "sim-people") == key
    with pytest.raises(ConfigError, match="only unwraps"):
        service.wrap(ref.with_version(1), key, "sim-people")
    assert [version.state for version in service.describe(ref).versions] == ["decrypt-only", "active"]


def test_destroy(service: KeyService, ref: KeyRef) -> None:
    service.create(ref)
    wrapped = service.wrap(ref, new_data_key(), "sim-people")
    with pytest.raises(ConfigError, match="which version"):
        service.destroy(ref)
    service.destroy(ref.with_version(1))
    service.destroy(ref.with_version(1))
    with pytest.raises(DeniedError, match="was destroyed"):
        service.unwrap(wrapped, "sim-people")
    with pytest.raises(DeniedError, match="was destroyed"):
        service.wrap(ref, new_data_key(), "sim-people")
    info = service.describe(ref)
    assert info.current is None
    assert [version.state for version in info.versions] == ["destroyed"]
    assert service.rotate(ref) == ref.with_version(2)
    assert service.describe(ref).current == 2


def test_unknown_keys_and_versions(service: KeyService, ref: KeyRef) -> None:
    for call in (
        lambda: service.describe(ref),
        lambda: service.rotate(ref),
        lambda: service.destroy(ref.with_version(1)),
        lambda: service.wrap(ref, new_data_key(), "sim-people"),
    ):
        with pytest.raises(ConfigError, match="no primary key"):
            call()
    service.create(ref)
    with pytest.raises(ConfigError, match="no version 9"):
        service.destroy(ref.with_version(9))
    with pytest.raises(ConfigError, match="no version 9"):
        service.wrap(ref.with_version(9), new_data_key(), "sim-people")


def test_wrong_data_keys_and_contexts(service: KeyService, ref: KeyRef) -> None:
    service.create(ref)
    with pytest.raises(ConfigError, match="32 bytes"):
        service.wrap(ref, bytes(16), "sim-people")
    with pytest.raises(ConfigError, match="not a data set id"):
        service.wrap(ref, new_data_key(), "Not A Data Set")


def test_token_file_with_loose_mode_is_refused(site: Site) -> None:
    token = site.home / "broker" / "owner.token"
    token.chmod(0o644)
    try:
        with pytest.raises(ConfigError, match="0644"):
            key_service_for("broker:", home=site.home).list()
    finally:
        token.chmod(0o600)


def test_an_erased_wrap_opens_nowhere_and_others_of_the_key_do(service: KeyService, ref: KeyRef) -> None:
    assert isinstance(service, ErasableWraps)
    service.create(ref)
    doomed, other = (service.wrap(ref, new_data_key(), "sim-people") for _ in range(2))
    with pytest.raises(IntegrityError):
        service.erase(doomed, "sim-other")
    first = service.erase(doomed, "sim-people")
    assert service.erase(doomed, "sim-people")["erased"] == first["erased"], "again without effect"
    with pytest.raises(DeniedError, match="was erased"):
        service.unwrap(doomed, "sim-people")
    service.unwrap(other, "sim-people")
    plain = other.model_copy(update={"algorithm": "HKDF-SHA256+A256KW"})
    with pytest.raises(IntegrityError):
        service.unwrap(plain, "sim-people")
    with pytest.raises(ConfigError, match="no secret of its own"):
        service.erase(plain, "sim-people")

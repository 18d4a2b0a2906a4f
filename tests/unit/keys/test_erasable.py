"""Secrets of wraps: private files, erased for good, and never taken for another's."""

import json
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, DeniedError, IntegrityError
from ppml_ops.keys import KeyRef, WrappedKey, new_data_key
from ppml_ops.keys.local import LocalKeyService
from ppml_ops.keys.wrapping import unwrap_data_key

PEOPLE = KeyRef.parse("local:people")


@pytest.fixture
def service(tmp_path: Path) -> LocalKeyService:
    own = LocalKeyService(tmp_path / "keys")
    own.create(PEOPLE)
    return own


def secret_of(service: LocalKeyService, wrapped: WrappedKey) -> Path:
    return service._secrets._path(wrapped)


def test_the_primary_key_alone_does_not_open_a_wrap(service: LocalKeyService) -> None:
    key = new_data_key()
    wrapped = service.wrap(PEOPLE, key, "people")
    primary = service._material(service._find(wrapped.ref))
    with pytest.raises(IntegrityError):
        unwrap_data_key(primary, wrapped, "people")
    assert service.unwrap(wrapped, "people") == key


def test_the_secret_is_private_and_gone_after_erasing(service: LocalKeyService) -> None:
    wrapped = service.wrap(PEOPLE, new_data_key(), "people")
    path = secret_of(service, wrapped)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    secret = json.loads(path.read_bytes())["secret"]
    first = service.erase(wrapped, "people")
    assert service.erase(wrapped, "people") == first
    assert secret not in path.read_text()
    with pytest.raises(DeniedError, match="was erased"):
        service.unwrap(wrapped, "people")


def test_a_secret_that_others_can_read_is_refused(service: LocalKeyService) -> None:
    wrapped = service.wrap(PEOPLE, new_data_key(), "people")
    secret_of(service, wrapped).chmod(0o644)
    with pytest.raises(ConfigError, match="others on this machine"):
        service.unwrap(wrapped, "people")


@pytest.mark.parametrize("damage", [b"", b"{}", b"[" * 100_000, None])
def test_a_damaged_or_lost_secret_is_named(service: LocalKeyService, damage: bytes | None) -> None:
    wrapped = service.wrap(PEOPLE, new_data_key(), "people")
    path = secret_of(service, wrapped)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    for call in (service.unwrap, service.erase):
        with pytest.raises(IntegrityError, match="not in this key service"):
            call(wrapped, "people")


def test_the_secret_of_another_wrap_is_refused(service: LocalKeyService) -> None:
    one, other = (service.wrap(PEOPLE, new_data_key(), name) for name in ("people", "other"))
    secret_of(service, one).write_bytes(secret_of(service, other).read_bytes())
    with pytest.raises(IntegrityError):
        service.unwrap(one, "people")

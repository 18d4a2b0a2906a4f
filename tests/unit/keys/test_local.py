"""The folder of primary keys: modes, races, destroyed keys, master key, and the wrapping itself."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from ppml_ops.canonical import b64d, b64e
from ppml_ops.errors import ConfigError, DeniedError, IntegrityError
from ppml_ops.keys import KeyRef, WrappedKey, key_service_for, new_data_key, register, rewrap
from ppml_ops.keys.local import LocalKeyService
from ppml_ops.keys.wrapping import unwrap_data_key, wrap_data_key

PEOPLE = KeyRef.parse("local:people")
MASTER = bytes(range(32))


@pytest.fixture
def service(tmp_path: Path) -> LocalKeyService:
    """An empty key folder."""
    return LocalKeyService(tmp_path / "keys")


def test_files_are_private(service: LocalKeyService, tmp_path: Path) -> None:
    service.create(PEOPLE)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "people").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / "people" / "1.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("path", "mode"), [("", 0o750), ("people", 0o711), ("people/1.json", 0o640)])
def test_looser_modes_are_refused_not_repaired(
    service: LocalKeyService, tmp_path: Path, path: str, mode: int
) -> None:
    wrapped = service.wrap(service.create(PEOPLE), new_data_key(), "sim-people")
    place = tmp_path / "keys" / path
    place.chmod(mode)
    for call in (
        lambda: service.unwrap(wrapped, "sim-people"),
        lambda: service.create(PEOPLE),
        lambda: service.rotate(PEOPLE),
        service.list,
    ):
        with pytest.raises(ConfigError, match=f"chmod .* {place}"):
            call()
    assert place.stat().st_mode & 0o777 == mode


def test_two_creators_agree_on_one_key(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    wraps: list[WrappedKey] = []

    def create() -> None:
        own = LocalKeyService(tmp_path / "keys")
        barrier.wait()
        wraps.append(own.wrap(own.create(PEOPLE), MASTER, "sim-people"))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    service = LocalKeyService(tmp_path / "keys")
    assert {service.unwrap(wrap, "sim-people") for wrap in wraps} == {MASTER}


def test_wrapping_is_what_the_format_says() -> None:
    """HKDF-SHA256 with empty salt and the data set in `info`, then RFC 3394."""
    kek = HKDF(SHA256(), 32, salt=b"", info=b"ppml-ops/wrap/v1\0sim-people").derive(bytes(32))
    wrapped = wrap_data_key(bytes(32), PEOPLE.with_version(1), MASTER, "sim-people")
    assert wrapped.model_dump() == {
        "key": "local:people?version=1",
        "algorithm": "HKDF-SHA256+A256KW",
        "wrapped": b64e(aes_key_wrap(kek, MASTER)),
    }
    assert unwrap_data_key(bytes(32), wrapped, "sim-people") == MASTER


@pytest.mark.parametrize("context", ["", "Sim", "sim-people\n", "../x", "a" * 41, "-a"])
def test_context_is_a_data_set_id(context: str) -> None:
    with pytest.raises(ConfigError):
        wrap_data_key(bytes(32), PEOPLE, MASTER, context)


def test_data_keys_have_32_bytes(service: LocalKeyService) -> None:
    service.create(PEOPLE)
    with pytest.raises(ConfigError, match="32 bytes, not 16"):
        service.wrap(PEOPLE, bytes(16), "sim-people")


def test_destroyed_material_is_gone_and_a_tombstone_stays(service: LocalKeyService, tmp_path: Path) -> None:
    service.create(PEOPLE)
    path = tmp_path / "keys" / "people" / "1.json"
    material = json.loads(path.read_bytes())["key"]
    service.destroy(PEOPLE.with_version(1))
    service.destroy(PEOPLE.with_version(1))
    stored = path.read_text()
    assert material not in stored
    assert json.loads(stored)["destroyed"]
    with pytest.raises(DeniedError, match="keys rotate"):
        service.create(PEOPLE)


class TestMaster:
    def test_stored_keys_are_wrapped(self, tmp_path: Path) -> None:
        service = LocalKeyService(tmp_path / "keys", master=MASTER)
        ref = service.create(PEOPLE)
        stored = json.loads((tmp_path / "keys" / "people" / "1.json").read_bytes())
        assert len(b64d(stored["key"])) == 40
        wrapped = service.wrap(ref, MASTER, "sim-people")
        assert LocalKeyService(tmp_path / "keys", master=MASTER).unwrap(wrapped, "sim-people") == MASTER

    def test_another_master_does_not_open(self, tmp_path: Path) -> None:
        service = LocalKeyService(tmp_path / "keys", master=MASTER)
        wrapped = service.wrap(service.create(PEOPLE), MASTER, "sim-people")
        with pytest.raises(IntegrityError):
            LocalKeyService(tmp_path / "keys", master=bytes(32)).unwrap(wrapped, "sim-people")

    def test_a_stored_key_put_in_anothers_place_does_not_open(self, tmp_path: Path) -> None:
        service = LocalKeyService(tmp_path / "keys", master=MASTER)
        service.create(PEOPLE)
        other = KeyRef.parse("local:other")
        service.create(other)
        stored = json.loads((tmp_path / "keys" / "people" / "1.json").read_bytes())
        target = tmp_path / "keys" / "other" / "1.json"
        target.write_text(json.dumps(stored | {"name": "other"}))
        with pytest.raises(IntegrityError):
            service.wrap(other, MASTER, "sim-people")

    @pytest.mark.parametrize(("made", "opened"), [(MASTER, None), (None, MASTER)])
    def test_kind_of_service_must_match(self, tmp_path: Path, made: bytes | None, opened: bytes | None) -> None:
        LocalKeyService(tmp_path / "keys", master=made).create(PEOPLE)
        with pytest.raises(ConfigError, match="wrapped by a master key"):
            LocalKeyService(tmp_path / "keys", master=opened).wrap(PEOPLE, MASTER, "sim-people")


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b'{"ppml":"primary-key/2"}', b"\xff"])
def test_damaged_files(service: LocalKeyService, tmp_path: Path, content: bytes) -> None:
    service.create(PEOPLE)
    (tmp_path / "keys" / "people" / "1.json").write_bytes(content)
    with pytest.raises(IntegrityError, match="restore it"):
        service.describe(PEOPLE)


def test_a_renamed_version_is_found(service: LocalKeyService, tmp_path: Path) -> None:
    service.create(PEOPLE)
    shutil.copy(tmp_path / "keys" / "people" / "1.json", tmp_path / "keys" / "people" / "2.json")
    with pytest.raises(IntegrityError):
        service.describe(PEOPLE)


class TestRegistry:
    def test_local_by_default_and_by_folder(self, tmp_path: Path) -> None:
        key_service_for("local:people", home=tmp_path).create(PEOPLE)
        assert (tmp_path / "keys" / "people" / "1.json").exists()
        ref = KeyRef.parse(f"local:{tmp_path}/elsewhere/people")
        key_service_for(ref, home=tmp_path).create(ref)
        assert (tmp_path / "elsewhere" / "people" / "1.json").exists()
        assert key_service_for("local:", home=tmp_path).list()[0].name == "people"

    @pytest.mark.parametrize("uri", ["local:relative/people", "local://host/people"])
    def test_relative_folders_are_refused(self, tmp_path: Path, uri: str) -> None:
        with pytest.raises(ConfigError, match="absolute"):
            key_service_for(uri, home=tmp_path)

    def test_unknown_scheme_lists_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="known: broker, local"):
            key_service_for("vault:people", home=tmp_path)

    def test_others_can_register(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ppml_ops.keys.service._factories", {})
        made = LocalKeyService(tmp_path)
        register("mine", lambda location, _home: made)
        assert key_service_for("mine://host/people", home=tmp_path) is made


def test_rewrap_moves_a_data_key_to_the_current_version(service: LocalKeyService) -> None:
    old = service.wrap(service.create(PEOPLE), MASTER, "sim-people")
    service.rotate(PEOPLE)
    new = rewrap(service, old, "sim-people")
    assert new.key == "local:people?version=2"
    service.destroy(PEOPLE.with_version(1))
    assert service.unwrap(new, "sim-people") == MASTER

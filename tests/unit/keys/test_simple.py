"""`simple:PATH` against key files of the original and the second implementation."""

import logging
import os
from pathlib import Path

import pytest

from ppml_ops.canonical import b64e
from ppml_ops.errors import ConfigError, IntegrityError, PpmlError
from ppml_ops.keys.model import KeyRef, WrappedKey
from ppml_ops.keys.original import OriginalKeys, original_keys_for
from ppml_ops.keys.service import key_service_for
from tests.support.bigdl import KEY_FILES, SETS, data_key, plain_data_key


def keys_of(path: Path, home: Path) -> OriginalKeys:
    return original_keys_for(f"simple:{path}", home=home)


@pytest.mark.parametrize(("name", "a_set"), [("simple", "csv_cbc_single"), ("plain", "csv_cbc_plainprimary")])
def test_opens_what_the_original_wrapped_and_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, a_set: str
) -> None:
    part = SETS[a_set]["parts"][0]
    with caplog.at_level(logging.WARNING):
        keys = keys_of(KEY_FILES[name], tmp_path)
        assert keys.open(part["wrapped_key"]) == keys.open(part["wrapped_key"]) == part["data_key"]
    assert len(caplog.records) == 1
    assert "is weak: " in caplog.text
    assert KEY_FILES[name].read_text().strip() not in caplog.text


@pytest.mark.parametrize("name", ["simple", "plain"])
def test_new_data_keys_open_in_the_second_implementation(tmp_path: Path, name: str) -> None:
    primary = KEY_FILES[name].read_text().strip()
    keys = keys_of(KEY_FILES[name], tmp_path)
    seen = set()
    for _ in range(5):
        made = keys.new()
        assert len(made.text) >= 32
        assert (data_key if name == "simple" else plain_data_key)(primary, made.wrapped) == made.text
        assert keys.open(made.wrapped) == made.text
        assert made.text not in repr(made)
        seen.add(made.wrapped)
    assert len(seen) == 5


def test_the_key_of_native_files(tmp_path: Path) -> None:
    assert keys_of(KEY_FILES["native"], tmp_path).native() == bytes(range(7, 23))
    with pytest.raises(ConfigError, match="plaintext primary key"):
        keys_of(KEY_FILES["simple"], tmp_path).native()


def test_create_makes_a_private_file_once(tmp_path: Path) -> None:
    ref = KeyRef.parse(f"simple:{tmp_path}/primaryKey")
    service = key_service_for(ref, home=tmp_path)
    assert service.create(ref) == ref
    path = tmp_path / "primaryKey"
    content = path.read_text()
    assert len(content) == 17
    assert content[:16].isdigit()
    assert path.stat().st_mode & 0o777 == 0o600
    assert service.create(ref) == ref
    assert path.read_text() == content
    (tmp_path / "README").write_text("no key")
    (tmp_path / "folder").mkdir()
    assert [info.name for info in key_service_for(f"simple:{tmp_path}/", home=tmp_path).list()] == [
        "primaryKey"
    ]
    info = service.describe(ref)
    assert (info.current, info.versions[0].state) == (1, "active")
    assert service.describe(ref.with_version(1)) == info


def test_relative_paths_are_those_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ref = KeyRef.parse("simple:key")
    key_service_for(ref, home=tmp_path).create(ref)
    assert (tmp_path / "key").is_file()


def test_what_a_key_file_cannot_do(tmp_path: Path) -> None:
    ref = KeyRef.parse(f"simple:{KEY_FILES['simple']}")
    service = key_service_for(ref, home=tmp_path)
    wrapped = WrappedKey(key=f"{ref}?version=1", wrapped=b64e(bytes(40)))
    for call in (
        lambda: service.rotate(ref),
        lambda: service.destroy(ref),
        lambda: service.wrap(ref, bytes(32), "people"),
        lambda: service.unwrap(wrapped, "people"),
        lambda: service.describe(ref.with_version(2)),
    ):
        with pytest.raises(ConfigError):
            call()


def test_other_services_have_no_such_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no key of BigDL PPML"):
        original_keys_for("local:people", home=tmp_path)
    with pytest.raises(ConfigError, match="not a folder of this machine"):
        original_keys_for("simple://host/key", home=tmp_path)


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "garbage", "endless", "below a file"])
def test_files_that_are_no_key(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "garbage":
            path.write_bytes(os.urandom(99))
        case "endless":
            path = Path("/dev/zero")
        case "below a file":
            path.write_text("")
            path = path / "key"
    with pytest.raises(ConfigError) as error:
        keys_of(path, tmp_path)
    assert "key" in str(error.value) or "zero" in str(error.value)
    if kind != "missing":
        ref = KeyRef.parse(f"simple:{path}")
        with pytest.raises(PpmlError):
            key_service_for(ref, home=tmp_path).create(ref)


def test_a_key_of_another_kind_is_noticed(tmp_path: Path) -> None:
    simple, plain = SETS["csv_cbc_single"]["parts"][0], SETS["csv_cbc_plainprimary"]["parts"][0]
    with pytest.raises(IntegrityError):
        keys_of(KEY_FILES["plain"], tmp_path).open(simple["wrapped_key"])
    with pytest.raises(IntegrityError):
        keys_of(KEY_FILES["simple"], tmp_path).open(plain["wrapped_key"])

"""The drill finds what a lost key takes with it."""

import shutil
from pathlib import Path

from ppml_ops.datasets.folder import Folder
from ppml_ops.keys.model import KeyRef
from ppml_ops.maintenance.archive import read_passphrase
from ppml_ops.maintenance.backup import back_up
from ppml_ops.maintenance.drill import drill, keys_at_hand, keys_in
from ppml_ops.maintenance.restore import unpack
from tests.unit.maintenance.conftest import Site


def lost(site: Site) -> dict[tuple[str, int], str]:
    tried = drill(Folder(site.storage), keys_at_hand(site.home))
    return {(one.path, one.version): one.why for one in tried if one.why}


def test_all_keys_are_there(site: Site) -> None:
    site.seal()
    site.seal("sim-other")
    assert lost(site) == {}
    assert len(list(drill(Folder(site.storage), keys_at_hand(site.home)))) == 2


def test_a_lost_key_is_found_by_the_versions_it_takes_along(site: Site) -> None:
    site.seal()
    site.seal("sim-other")
    shutil.rmtree(site.home / "keys" / "sim-other")
    assert list(lost(site)) == [("sim-other/date=2026-11-20", 1)]


def test_a_lost_secret_of_one_wrap_is_found(site: Site) -> None:
    first, _second = site.seal(), site.seal(text="name\nBob\n")
    for path in (site.home / "keys" / "sim-people" / "wraps").iterdir():
        path.unlink()
    third = site.seal(text="name\nEve\n")
    assert (first.version, third.version) == (1, 3)
    assert [version for _path, version in lost(site)] == [1, 2]


def test_a_destroyed_key_and_a_damaged_manifest_are_found(site: Site) -> None:
    site.seal()
    site.keys.destroy(KeyRef.parse("local:sim-people?version=1"))
    other = site.seal("sim-other")
    path = site.store("sim-other").folder.local(f"_manifest/{other.version}.json")
    path.write_bytes(path.read_bytes().replace(other.mac.encode(), b"0" * 64))
    why = lost(site)
    assert "destroyed" in why["sim-people/date=2026-11-20", 1]
    assert "not authentic" in why["sim-other/date=2026-11-20", 1]


def test_a_backup_is_drilled_without_restoring_it(site: Site, tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.touch(0o600)
    passphrase.write_text("correct horse battery\n")
    site.seal()
    back_up(site.home, tmp_path / "backup", read_passphrase(passphrase), now=1)
    site.seal("sim-later")
    folder = tmp_path / "private"
    folder.mkdir(0o700)
    unpack(tmp_path / "backup", folder, read_passphrase(passphrase))
    tried = {one.dataset: one.why for one in drill(Folder(site.storage), keys_in(folder))}
    assert tried["sim-people"] is None
    assert tried["sim-later"] is not None

"""A backup comes back as it was, tells when it can't, and holds no plaintext."""

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.broker.audit import verify_audit
from ppml_ops.broker.state import BrokerState
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.keys.model import KeyRef
from ppml_ops.lifecycle.run import load_run
from ppml_ops.maintenance import backup as backup_module
from ppml_ops.maintenance.archive import read_passphrase, reading
from ppml_ops.maintenance.backup import back_up
from ppml_ops.maintenance.catalogue import find_datasets
from ppml_ops.maintenance.drill import drill, keys_in
from ppml_ops.maintenance.restore import restore
from tests.support.proof import run_in
from tests.unit.broker.builders import World
from tests.unit.maintenance.conftest import Site

PASSPHRASE = b"correct horse battery"


@pytest.fixture
def world(site: Site) -> World:
    """A broker that goes on working in the state folder."""
    return World(site.home / "broker")


def saved(site: Site, target: Path, **options: Any) -> Path:
    back_up(site.home, target, PASSPHRASE, now=1, **options)
    return target


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_keys_trust_domain_and_audit_chain_come_back(site: Site, world: World, tmp_path: Path) -> None:
    wrapped = world.wrap()
    world.release()
    backup = saved(site, tmp_path / "backup")
    home = tmp_path / "new"
    done = restore(backup, home, PASSPHRASE, now=2)
    assert done.trust_domain == world.domain.id
    state = BrokerState.open(home / "broker", world.domain, world.clock)
    assert state.keystore.unwrap(wrapped, "sim-people") == world.data_key
    assert state.signing.thumbprint() == world.state.signing.thumbprint()
    assert state.owners.all().keys() == world.state.owners.all().keys()
    state.audit.close()
    key = state.signing.raw_value
    events = [record.body.event for record in verify_audit(home / "broker" / "audit.jsonl", key.public_key())]  # type: ignore[union-attr]
    assert "release" in events
    assert events[-1] == "restored"


def test_modes_come_back(site: Site, world: World, tmp_path: Path) -> None:
    home = tmp_path / "new"
    site.seal()
    restore(saved(site, tmp_path / "backup", with_data=True), home, PASSPHRASE, now=2)
    for path in [home, *home.rglob("*")]:
        if "owner.token" in path.name or path.is_dir() or "key" in path.name:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_torn_last_line_of_the_audit_log_stays_out(site: Site, world: World, tmp_path: Path) -> None:
    with (site.home / "broker" / "audit.jsonl").open("ab") as log:
        log.write(b'{"body":{"at":1')
    restore(saved(site, tmp_path / "backup"), tmp_path / "new", PASSPHRASE, now=2)
    BrokerState.open(tmp_path / "new" / "broker", world.domain, world.clock).audit.close()


def test_no_plaintext_lock_or_address_is_in_it(site: Site, tmp_path: Path) -> None:
    for name in ("data/r/result/a.csv", "nodes/a/x", "broker/lock", "broker/endpoint.json", "runs/r/g1/work/x",
                 "airflow/logs/x.log", "runs/r/x.lock", "logs/broker.log", "storage/p/x"):  # fmt: skip
        path = site.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("canary")
    (site.home / "runs" / "r" / "run.json").write_text("kept")
    (site.home / "retention.yaml").write_text("kept")
    restore(saved(site, tmp_path / "one"), tmp_path / "new", PASSPHRASE, now=2)
    assert tree(tmp_path / "new") == {"runs/r/run.json": b"kept", "retention.yaml": b"kept"}
    restore(saved(site, tmp_path / "two", with_data=True), tmp_path / "all", PASSPHRASE, now=2)
    assert set(tree(tmp_path / "all")) == {"runs/r/run.json", "retention.yaml", "storage/p/x"}
    assert b"kept" not in (tmp_path / "one").read_bytes()


def test_a_database_in_use_is_copied_whole(site: Site, tmp_path: Path) -> None:
    (site.home / "airflow").mkdir()
    with sqlite3.connect(site.home / "airflow" / "airflow.db") as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table t (x)")
        database.execute("insert into t values (1)")
        database.commit()
        saved(site, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "new", PASSPHRASE, now=2)
    with sqlite3.connect(tmp_path / "new" / "airflow" / "airflow.db") as database:
        assert database.execute("select x from t").fetchall() == [(1,)]


def test_data_may_have_any_name_and_lie_on_another_disk(site: Site, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    site.storage.symlink_to(tmp_path / "disk")
    names = ("t/poetry.lock", "t/lock", "t/people.db", "t/x.db-wal", "t/endpoint.json", "t/.x.0123456789abcdef")
    for name in names:
        path = site.storage / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (site.home / "runs").mkdir()
    (site.home / "runs" / "x.db").write_text("no database")
    restore(saved(site, tmp_path / "backup", with_data=True), tmp_path / "new", PASSPHRASE, now=2)
    assert tree(tmp_path / "new" / "storage" / "p") == {name: name.encode() for name in names}
    assert (tmp_path / "new" / "runs" / "x.db").read_text() == "no database"


@pytest.mark.parametrize("moment", ["storage/sim-people", "keys/"])
def test_versions_sealed_meanwhile_open_with_the_backup(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """While the first file of a folder is copied, another version is sealed."""
    site.seal()
    site.keys.create(KeyRef.parse("local:sim-other"))
    add, waiting = backup_module._add_file, True

    def add_and_seal(tar: Any, home: Path, name: str) -> int | None:
        nonlocal waiting
        if waiting and name.startswith(moment):
            waiting = False
            site.seal(text="name\nBob\n")
            site.seal("sim-other")
        return add(tar, home, name)

    monkeypatch.setattr(backup_module, "_add_file", add_and_seal)
    home = tmp_path / "new"
    restore(saved(site, tmp_path / "backup", with_data=True), home, PASSPHRASE, now=2)
    assert not waiting
    tried = list(drill(Folder(home / "storage"), keys_in(home)))
    assert tried
    assert [one for one in tried if one.why] == []
    for found in find_datasets(Folder(home / "storage")):
        for version in found.store.versions():
            found.store.check_parts(found.store.read(version))


def test_the_audit_log_goes_first_and_keys_go_last(site: Site, world: World, tmp_path: Path) -> None:
    site.seal()
    run_in(site.home).save()
    with reading(saved(site, tmp_path / "backup", with_data=True), PASSPHRASE) as tar:
        names = [member.name for member in tar][1:]
    tops = list(dict.fromkeys(name.partition("/")[0] for name in names[1:]))
    assert names[0] == "broker/audit.jsonl"
    assert tops == ["runs", "storage", "keys", "broker"]


@pytest.mark.parametrize("where", ["runs/r/record.json", "storage/people", "broker/folder", "profiles"])
def test_links_are_not_left_out_in_silence(site: Site, tmp_path: Path, where: str) -> None:
    site.seal()
    link = site.home / where
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "not mounted")
    with pytest.raises(ConfigError, match=f"can't save {link} "):
        saved(site, tmp_path / "backup", with_data=True)
    assert list(tmp_path.glob("*backup*")) == []


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_folders_that_can_not_be_read_are_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    site.seal()
    walk, walks = backup_module._names, 0

    def names(*arguments: Any) -> Any:
        nonlocal walks
        walks += 1
        if walks == (1 if when == "before" else 2):
            (site.home / "profiles").write_text("a file where a folder should be")
        return walk(*arguments)

    monkeypatch.setattr(backup_module, "_names", names)
    with pytest.raises(ConfigError, match=r"profiles .Not a directory"):
        saved(site, tmp_path / "backup")
    assert list(tmp_path.glob("*backup*")) == []


def test_runs_are_found_in_the_new_place(site: Site, tmp_path: Path) -> None:
    run = run_in(site.home).save()
    home = tmp_path / "new"
    restore(saved(site, tmp_path / "backup"), home, PASSPHRASE, now=2)
    found = load_run(home, run.key)
    assert (found.home, found.storage) == (home, str(home / "storage"))


@pytest.mark.parametrize("damage", ["cut", "changed", "header", "passphrase", "no backup", "empty"])
def test_a_backup_that_can_not_be_used_changes_nothing(
    site: Site, world: World, tmp_path: Path, damage: str
) -> None:
    backup = saved(site, tmp_path / "backup")
    data, passphrase = backup.read_bytes(), PASSPHRASE
    broken = {
        "cut": data[:-1000],
        "changed": data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:],
        "header": data.replace(b'"salt":"', b'"salt":"0', 1),
        "no backup": b"PK\3\4" + data,
        "empty": b"",
    }
    backup.write_bytes(broken.get(damage, data))
    if damage == "passphrase":
        passphrase = b"another passphrase"
    with pytest.raises(IntegrityError):
        restore(backup, tmp_path / "new", passphrase, now=2)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*restoring"))


def test_a_home_in_use_is_left_alone(site: Site, world: World, tmp_path: Path) -> None:
    backup = saved(site, tmp_path / "backup")
    before = tree(site.home)
    with pytest.raises(ConfigError, match="not empty"):
        restore(backup, site.home, PASSPHRASE, now=2)
    assert tree(site.home) == before
    (tmp_path / "empty").mkdir()
    restore(backup, tmp_path / "empty", PASSPHRASE, now=2)


def test_a_power_cut_leaves_the_home_empty_and_the_next_try_begins_anew(
    site: Site, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, home = saved(site, tmp_path / "backup"), tmp_path / "new"
    child = os.fork()
    if child == 0:
        monkeypatch.setattr("ppml_ops.maintenance.restore._note_in_audit", lambda *_a: os._exit(9))
        restore(backup, home, PASSPHRASE, now=2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not home.exists()
    assert (tmp_path / ".new.restoring").is_dir(), "its name says what it is"
    restore(backup, home, PASSPHRASE, now=2)
    assert not (tmp_path / ".new.restoring").exists()
    BrokerState.open(home / "broker", world.domain, world.clock).audit.close()


def test_backups_are_not_overwritten_and_not_put_into_what_they_save(
    site: Site, world: World, tmp_path: Path
) -> None:
    backup = saved(site, tmp_path / "backup")
    with pytest.raises(ConfigError, match="exists"):
        saved(site, backup)
    with pytest.raises(ConfigError, match="does not belong"):
        saved(site, site.home / "backup")
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_place_that_can_not_be_written_is_named(site: Site, world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError):
        saved(site, tmp_path / "file" / "backup")
    with pytest.raises(ConfigError, match="beside"):
        restore(saved(site, tmp_path / "backup"), tmp_path / "file" / "home", PASSPHRASE, now=2)


@pytest.mark.parametrize(("content", "mode"), [("short", 0o600), ("long enough, but open", 0o644), (None, 0)])
def test_passphrase_files_are_private_and_long(tmp_path: Path, content: str | None, mode: int) -> None:
    path = tmp_path / "passphrase"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(ConfigError):
        read_passphrase(path)


def test_a_key_made_after_the_backup_is_not_in_it(site: Site, world: World, tmp_path: Path) -> None:
    backup = saved(site, tmp_path / "backup")
    world.state.keystore.create(KeyRef.parse("broker:later"))
    restore(backup, tmp_path / "new", PASSPHRASE, now=2)
    names = [
        info.name
        for info in BrokerState.open(tmp_path / "new" / "broker", world.domain, world.clock).keystore.list()
    ]
    assert names == ["people"]

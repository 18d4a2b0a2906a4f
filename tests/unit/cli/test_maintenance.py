"""Backup, restore, drill, shred and clean as their users meet them."""

import json
import os
from pathlib import Path

import pytest

from tests.support.proof import run_in
from tests.unit.cli.conftest import Cli


@pytest.fixture
def sealed(ppml: Cli, tmp_path: Path) -> Path:
    """A data set with two versions under `local:people`."""
    folder = tmp_path / "state" / "storage" / "people"
    assert ppml("keys", "create", "local:people").code == 0
    for name in ("Ada", "Bob"):
        (tmp_path / f"{name}.csv").write_text(f"name\n{name}\n")
        done = ppml(
            "data", "seal", tmp_path / f"{name}.csv", folder, "--key", "local:people", "--dataset", "people"
        )
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text("correct horse battery\n")
    return path


def test_backup_restore_and_the_data_open_again(
    ppml: Cli, sealed: Path, passphrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = ("--passphrase-file", passphrase)
    assert ppml("backup", tmp_path / "b", *option, "--with-data").code == 0
    assert ppml("restore", tmp_path / "b", *option).code == 78, "the state folder is in use"
    (tmp_path / "state").rename(tmp_path / "lost")
    done = ppml("restore", tmp_path / "b", *option)
    assert done.code == 0, done.err
    assert ppml("data", "open", sealed, tmp_path / "opened").code == 0
    assert "Bob" in next((tmp_path / "opened").rglob("*.csv")).read_text()


def test_drill_finds_a_lost_key_and_the_backup_that_has_it(
    ppml: Cli, sealed: Path, passphrase: Path, tmp_path: Path
) -> None:
    option = ("--passphrase-file", passphrase)
    assert ppml("backup", tmp_path / "b", *option).code == 0
    assert ppml("keys", "drill").code == 0
    (tmp_path / "state" / "keys").rename(tmp_path / "lost")
    done = ppml("keys", "drill")
    assert done.code == 1
    assert "0 of 2 versions can be opened" in done.out
    assert ppml("keys", "drill", "--backup", tmp_path / "b", *option).code == 0
    assert ppml("keys", "drill", "--backup", tmp_path / "b").code == 78


def test_storages_of_runs_are_drilled_and_cleaned_without_a_setting(
    ppml: Cli, sealed: Path, tmp_path: Path
) -> None:
    """Their storage came from an Airflow connection, which the command line doesn't see."""
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "state" / "storage").rename(elsewhere)
    run_in(tmp_path / "state").model_copy(update={"storage": str(elsewhere)}).save()
    done = ppml("keys", "drill")
    assert (done.code, done.out) == (0, "2 of 2 versions can be opened")
    gathered = elsewhere / "people" / "_incoming" / "dead-20261120-0123456789ab-g1"
    gathered.mkdir(parents=True)
    os.utime(gathered, (0, 0))
    assert str(gathered) in ppml("clean").out
    elsewhere.rename(tmp_path / "unmounted")
    for arguments in ((), (elsewhere,)):
        done = ppml("keys", "drill", *arguments)
        assert done.code == 78
        assert "although there were runs" in done.err


def test_shred_names_all_places_that_it_searched(ppml: Cli, sealed: Path, tmp_path: Path) -> None:
    run = run_in(tmp_path / "state").model_copy(update={"storage": str(tmp_path / "elsewhere")}).save()
    with run.records.recording("issue_ticket") as facts:
        facts["in_place"] = {"people": str(tmp_path / "partner")}
    done = ppml("data", "shred", sealed, "--version", "1", "--yes", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["searched"] == [
        str(tmp_path / name) for name in ("state/storage", "elsewhere", "partner")
    ]


def test_shred_asks_first_then_no_command_opens_the_version(ppml: Cli, sealed: Path, tmp_path: Path) -> None:
    asked = ppml("data", "shred", sealed, "--version", "1")
    assert asked.code == 78
    assert "--yes" in asked.err
    done = ppml("data", "shred", sealed, "--version", "1", "--yes")
    assert done.code == 0, done.err
    for text in ("shredded people version 1", "its secret was erased", "backups of the key service"):
        assert text in done.out
    for command in (("open", sealed, tmp_path / "o"), ("verify", sealed), ("show", sealed)):
        done = ppml("data", *command, "--version", "1")
        assert done.code == 65
        assert "was shredded" in done.err
    assert ppml("data", "open", sealed, tmp_path / "opened").code == 0
    assert ppml("data", "verify", sealed).code == 0
    assert ppml("data", "shred", sealed, "--version", "1", "--yes").code == 65


def test_the_record_is_kept_and_verifies_with_anchors_alone(ppml: Cli, sealed: Path, tmp_path: Path) -> None:
    from ppml_ops.broker.jose import public_jwk
    from ppml_ops.broker.tickets import owner_key

    assert ppml("data", "shred", sealed, "--version", "1", "--yes").code == 0
    record = next((tmp_path / "state" / "owner" / "destroyed").glob("people-*.json"))
    owner = public_jwk(owner_key(tmp_path / "state" / "owner" / "ticket-signing.jwk"))
    anchors = tmp_path / "anchors.json"
    document = {"trust_domain": "0" * 64, "simulated": True, "broker_keys": [], "receipt_signers": []}
    anchors.write_text(json.dumps(document | {"owner_keys": [owner]}))
    done = ppml("data", "verify-destruction", record, "--trust", anchors)
    assert done.code == 0, done.err
    assert "signed for 0 of 1 wrapped keys" in done.out
    record.write_bytes(record.read_bytes().replace(b'"parts":1', b'"parts":2'))
    assert ppml("data", "verify-destruction", record, "--trust", anchors).code == 76
    assert ppml("data", "verify-destruction", tmp_path / "none", "--trust", anchors).code == 78


def test_clean_lists_first(ppml: Cli, sealed: Path, tmp_path: Path) -> None:
    result = tmp_path / "state" / "data" / "r" / "result" / "x.csv"
    result.parent.mkdir(parents=True)
    result.write_text("x")
    (tmp_path / "state" / "retention.yaml").write_text("opened_results_days: 0\n")
    done = ppml("clean")
    assert done.code == 0, done.err
    assert "opened result" in done.out
    assert result.exists()
    assert ppml("clean", "--yes").code == 0
    assert not result.exists()
    assert json.loads(ppml("clean", "--json").out) == []

"""An installation is lost and comes back from its backup: result, keys, receipts, and new runs."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.cli.services import ensure_services, stop_services
from ppml_ops.lifecycle.run import load_run
from ppml_ops.receipts.standing import standing_of
from tests.e2e.conftest import Cli
from tests.support.life_cycle import LifeCycle
from tests.support.people import read_rows

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.long]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Path]:
    """A state folder of its own: other tests destroy keys, which the drill would find."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    try:
        ensure_services(folder)
        yield folder
    finally:
        stop_services(folder)


def test_a_result_opens_after_a_restore_and_not_after_shredding(
    alone: Path, day: date, command: Cli, tmp_path: Path
) -> None:
    life = LifeCycle(alone, day, name="backed up")
    assert life.finish().proven
    rows = life.result_rows()
    passphrase = tmp_path / "passphrase"
    passphrase.touch(0o600)
    passphrase.write_text("correct horse battery staple\n")
    options = ("--passphrase-file", str(passphrase))
    at = {"PPML_OPS_HOME": str(alone)}
    done = command("backup", str(tmp_path / "backup"), *options, "--with-data", **at)
    assert done.returncode == 0, done.stderr

    new = tmp_path / "restored"
    here = {"PPML_OPS_HOME": str(new)}
    done = command("restore", str(tmp_path / "backup"), *options, **here)
    assert done.returncode == 0, done.stderr
    try:
        ensure_services(new)
        assert command("keys", "drill", **here).returncode == 0
        run = load_run(new, life.run.key)
        store = run.dataset(life.result)
        assert store.folder.root.startswith(str(new))
        done = command("data", "open", str(store.folder), str(tmp_path / "opened"), **here)
        assert done.returncode == 0, done.stderr
        assert read_rows((tmp_path / "opened").rglob("*.csv")) == rows
        assert standing_of(new, run.folder, run.records.all()).proven

        again = LifeCycle(new, day, name="after the restore")
        assert again.finish().problems == ()
        assert again.result_rows() == rows

        done = command("data", "shred", str(store.folder), "--version", "1", "--yes", **here)
        assert done.returncode == 0, done.stderr
        assert command(
            "data", "open", str(store.folder), str(tmp_path / "no"), "--version", "1", **here
        ).returncode
        assert command("data", "open", str(store.folder), str(tmp_path / "yes"), **here).returncode == 0
        assert command("data", "logs", life.run.key, **here).returncode != 0, "its log has the same key"
        assert command("data", "logs", again.run.key, **here).returncode == 0
    finally:
        stop_services(new)

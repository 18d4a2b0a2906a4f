"""The maintenance operators work where runs keep their data: at the storage connection, when there is one."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.errors import ConfigError, IntegrityError
from tests.support.proof import run_in
from tests.unit.maintenance.conftest import Site

pytest.importorskip("airflow")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Its storage lies elsewhere, and only a connection says where."""
    site = Site(tmp_path / "home")
    site.storage = tmp_path / "elsewhere"
    monkeypatch.setenv("PPML_OPS_HOME", str(site.home))
    monkeypatch.delenv("PPML_OPS_STORAGE", raising=False)
    connection = {"conn_type": "ppml_storage", "extra": {"url": str(site.storage)}}
    monkeypatch.setenv("AIRFLOW_CONN_PPML_STORAGE_DEFAULT", json.dumps(connection))
    for name in ("BROKER", "KEY_SERVICE"):
        monkeypatch.setenv(f"AIRFLOW_CONN_PPML_{name}_DEFAULT", json.dumps({"conn_type": "generic"}))
    return site


def execute(operator: str, **params: Any) -> None:
    from ppml_ops.airflow import maintenance

    getattr(maintenance, operator)(task_id="task").execute({"params": params})


def test_clean_works_at_the_connection(site: Site) -> None:
    site.seal()
    gathered = site.store().folder.local("_incoming/dead-20261120-0123456789ab-g1")
    gathered.mkdir(parents=True)
    os.utime(gathered, (0, 0))
    execute("Clean", dry_run=True)
    assert gathered.exists()
    execute("Clean")
    assert not gathered.exists()


def test_the_drill_tries_what_lies_at_the_connection(site: Site) -> None:
    site.seal()
    execute("KeyDrill")
    shutil.rmtree(site.home / "keys")
    with pytest.raises(IntegrityError, match="1 of 1"):
        execute("KeyDrill")


def test_a_drill_without_a_data_set_fails_once_there_were_runs(site: Site) -> None:
    execute("KeyDrill")
    run_in(site.home).model_copy(update={"storage": str(site.storage)}).save()
    with pytest.raises(ConfigError, match="although there were runs"):
        execute("KeyDrill")

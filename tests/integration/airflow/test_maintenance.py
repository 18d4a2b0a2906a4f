"""The maintenance DAG in a real Airflow: paused, does what retention says, and fails on a lost key."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.airflow.conftest import no_context
from tests.unit.maintenance.conftest import Site

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def maintenance() -> Any:
    from ppml_ops.airflow.headless.database import ensure_database, load_dag

    ensure_database()
    return load_dag("maintenance")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Data sets, and an opened result that may go."""
    monkeypatch.setenv("PPML_OPS_HOME", str(tmp_path))
    site = Site(tmp_path)
    site.seal()
    (tmp_path / "retention.yaml").write_text("opened_results_days: 0\n")
    (tmp_path / "data" / "r" / "result").mkdir(parents=True)
    return site


def test_it_is_paused_until_somebody_wants_it(maintenance: Any) -> None:
    assert maintenance.is_paused_upon_creation


@pytest.mark.parametrize("dry", [True, False])
def test_it_cleans_and_drills(maintenance: Any, session: Any, new_run_id: str, site: Site, dry: bool) -> None:
    from ppml_ops.airflow.headless.drive import drive

    assert drive(maintenance, new_run_id, {"dry_run": dry}, no_context, session) == "success"
    assert (site.home / "data" / "r").exists() == dry


def test_a_lost_key_makes_it_fail(maintenance: Any, session: Any, new_run_id: str, site: Site) -> None:
    from ppml_ops.airflow.headless.drive import drive

    shutil.rmtree(site.home / "keys")
    assert drive(maintenance, new_run_id, {}, no_context, session) == "failed"

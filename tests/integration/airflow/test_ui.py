"""The proof page in a real API server: behind Airflow's login, and a tab of each run."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.airflow.conftest import Stages, no_context

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def client(dag: Any) -> Iterator[Any]:
    """The API server's application."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core")) as opened:
        yield opened


@pytest.fixture
def bearer() -> dict[str, str]:
    """A logged-in administrator."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="alice", role="ADMIN"))
    return {"Authorization": f"Bearer {token}"}


def test_nobody_sees_a_run_without_logging_in(client: Any) -> None:
    assert client.get("/ppml/runs/simple_query/x").status_code == 401
    assert client.get("/ppml/openapi.json").status_code in (401, 404)


def test_the_page_tells_of_a_run_and_of_one_without_receipt(
    client: Any, bearer: dict[str, str], dag: Any, session: Any, stages: Stages, new_run_id: str
) -> None:
    from ppml_ops.airflow.headless.drive import drive

    drive(dag, new_run_id, {}, no_context, session)
    page = client.get(f"/ppml/runs/simple_query/{new_run_id}", headers=bearer)
    assert page.status_code == 200
    assert ">PROVEN<" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (
        "NO RECEIPT"
        in client.get("/ppml/runs/simple_query/manual__2026-11-21T00:00:00+00:00", headers=bearer).text
    )


def test_the_tab_is_registered(client: Any, bearer: dict[str, str]) -> None:
    plugins = client.get("/api/v2/plugins", headers=bearer).json()["plugins"]
    ours = next(plugin for plugin in plugins if plugin["name"] == "ppml_ops")
    assert ours["external_views"][0]["destination"] == "dag_run"

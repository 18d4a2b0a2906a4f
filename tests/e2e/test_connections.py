"""Our Airflow connection types: the Test button against a running broker, and a run that uses them."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ppml_ops.keys.broker import read_endpoint
from ppml_ops.lifecycle.run import find_run
from ppml_ops.receipts.receipt import read_receipt, receipt_files
from tests.e2e.conftest import Cli

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.airflow, pytest.mark.long]

Test = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """The API server's application."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    from ppml_ops.airflow.headless.database import ensure_database

    ensure_database()
    with TestClient(create_app(apps="core")) as opened:
        yield opened


@pytest.fixture
def bearer() -> dict[str, str]:
    """A logged-in administrator."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="alice", role="ADMIN"))
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def try_it(client: Any, bearer: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> Test:
    """What the Test button of the connection form answers."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    monkeypatch.setenv("PPML_OPS_HOME", str(home))

    def tried(kind: str, fields: dict[str, str], **standard: Any) -> dict[str, Any]:
        if kind == "broker":
            standard = address(home) | standard
        body = {"connection_id": "tried", "conn_type": f"ppml_{kind}", "extra": json.dumps(fields), **standard}
        reply = client.post("/api/v2/connections/test", json=body, headers=bearer)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    return tried


def broker_fields(home: Path, **more: str) -> dict[str, str]:
    ca = read_endpoint(home / "broker")[1]
    return {"ca_file": str(ca), "credential_file": str(home / "broker" / "owner.token")} | more


def address(home: Path) -> dict[str, Any]:
    url = urlsplit(read_endpoint(home / "broker")[0])
    return {"host": url.hostname, "port": url.port}


def test_a_broker_is_proven_with_the_owners_token_where_it_resolves(
    try_it: Test, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = try_it("broker", broker_fields(home))
    assert good["status"] is True
    assert "SIMULATED" in good["message"]
    assert "owner's token is accepted" in good["message"]

    elsewhere = try_it("broker", broker_fields(home, credential_file="/nowhere/owner.token"))
    assert elsewhere["status"] is True
    assert "can't be tested here: there is no owner token at /nowhere/owner.token" in elsewhere["message"]

    token = (home / "broker" / "owner.token").read_text().strip()
    monkeypatch.setenv("AIRFLOW_VAR_BROKER_OWNER", token)
    by_variable = try_it("broker", broker_fields(home, credential_variable="broker_owner"))
    assert "owner's token is accepted" in by_variable["message"]
    assert token not in str([good, elsewhere, by_variable])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"port": 1}, "does not answer"),
        ({"host": "a b"}, "not the address of a broker"),
        ({"host": None}, "not the address of a broker"),
        ({"extra": {"ca_file": "/nowhere/ca.pem"}}, "CA file /nowhere/ca.pem can't be read"),
        ({"extra": {}}, "has no ca_file"),
    ],
)
def test_a_broker_that_is_not_there_is_named(
    try_it: Test, home: Path, change: dict[str, Any], words: str
) -> None:
    standard = {name: value for name, value in change.items() if name != "extra"}
    found = try_it("broker", change.get("extra", broker_fields(home)), **standard)
    assert found["status"] is False
    assert words in found["message"]
    assert "For the " in found["message"]


def test_another_ca_does_not_prove_the_broker(try_it: Test, home: Path, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from ppml_ops.broker.pki import tls_files

    stranger = tls_files(tmp_path, [], datetime.now(UTC)).ca
    found = try_it("broker", broker_fields(home, ca_file=str(stranger)))
    assert found["status"] is False
    assert "did not prove to be the broker" in found["message"]


def test_a_wrong_token_is_refused(try_it: Test, home: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x" * 43)
    (tmp_path / "token").chmod(0o600)
    found = try_it("broker", broker_fields(home, credential_file=str(tmp_path / "token")))
    assert found["status"] is False
    assert "x" * 43 not in found["message"]


def test_a_secret_in_the_connection_is_refused(try_it: Test, home: Path) -> None:
    found = try_it("broker", broker_fields(home), password="hunter2-hunter2")
    assert found["status"] is False
    assert "no place for the owner's secrets" in found["message"]
    assert "hunter2" not in found["message"]


def test_key_services_and_storages(try_it: Test, home: Path, tmp_path: Path) -> None:
    assert "credential is accepted" in try_it("key_service", {"uri": "broker:"})["message"]
    assert "0 primary keys" in try_it("key_service", {"uri": f"local:{tmp_path}/keys/"})["message"]
    for wrong, words in (("broker:people", "names a key"), ("moon:", "no key service for the scheme 'moon'")):
        found = try_it("key_service", {"uri": wrong})
        assert (found["status"], words in found["message"]) == (False, True), found

    (tmp_path / "storage" / "sim-people").mkdir(parents=True)
    good = try_it("storage", {"url": f"{tmp_path}/storage"})
    assert good == {
        "status": True,
        "message": f"{tmp_path}/storage can be listed: 1 data sets. Writing was not tried.",
    }
    for wrong, words in (
        ("storage", "relative folder"),
        ("/nowhere", "no folder /nowhere"),
        ("moon://x", "can't reach"),
    ):
        found = try_it("storage", {"url": wrong})
        assert (found["status"], words in found["message"]) == (False, True), found


def test_the_forms_show_no_field_for_a_secret(client: Any, bearer: dict[str, str]) -> None:
    hooks = client.get("/ui/connections/hook_meta", headers=bearer).json()
    ours = {hook["connection_type"]: hook for hook in hooks if hook["connection_type"].startswith("ppml_")}
    assert set(ours) == {"ppml_broker", "ppml_key_service", "ppml_storage"}
    assert set(ours["ppml_broker"]["extra_fields"]) == {
        "ca_file", "credential_file", "credential_variable",
    }  # fmt: skip
    for hook in ours.values():
        assert all(hook["standard_fields"][name]["hidden"] for name in ("password", "login"))


def test_a_stored_connection_is_tested_as_the_page_does(
    client: Any, bearer: dict[str, str], home: Path, try_it: Test
) -> None:
    """The page sends what it was shown: nothing of it may have been taken for a secret."""
    body = {
        "connection_id": "kept",
        "conn_type": "ppml_broker",
        "extra": json.dumps(broker_fields(home)),
    } | address(home)
    assert client.post("/api/v2/connections", json=body, headers=bearer).status_code == 201
    try:
        shown = client.get("/api/v2/connections/kept", headers=bearer).json()
        assert json.loads(shown["extra"]) == broker_fields(home)
        sent = {
            name: shown[name] or ""
            for name in ("description", "login", "password", "schema", "host", "port", "extra")
        }
        reply = client.post("/api/v2/connections/test", json=body | sent, headers=bearer).json()
        assert reply["status"] is True, reply
        assert "owner's token is accepted" in reply["message"]
    finally:
        client.delete("/api/v2/connections/kept", headers=bearer)


def test_a_run_uses_the_connections(home: Path, command: Cli, tmp_path: Path) -> None:
    ca = Path(shutil.copy(home / "broker" / "ca.pem", tmp_path / "pinned.pem"))
    (tmp_path / "storage").mkdir()
    connections = {
        "BROKER_DEFAULT": ("ppml_broker", broker_fields(home, ca_file=str(ca)), address(home)),
        "KEYS": ("ppml_key_service", {"uri": "broker:"}, {}),
        "STORAGE_DEFAULT": ("ppml_storage", {"url": f"{tmp_path}/storage"}, {}),
    }
    env = {
        f"AIRFLOW_CONN_PPML_{name}": json.dumps({"conn_type": kind, "extra": fields} | standard)
        for name, (kind, fields, standard) in connections.items()
    }
    day, run_id = "2023-09-01", "by-connections"
    done = command(
        "run", "simple_query", "--date", day, "--rows", "50", "--run-id", run_id,
        PPML_OPS_KEY_SERVICE_CONN_ID="ppml_keys", PPML_OPS_KEY_SERVICE="local:", **env,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run = find_run(home, "simple_query", run_id)
    assert run is not None
    assert run.connections == {
        "broker": "ppml_broker_default", "key_service": "ppml_keys", "storage": "ppml_storage_default",
    }  # fmt: skip
    assert run.storage == f"{tmp_path}/storage"
    assert run.dataset("sim-simple-query").versions() == [1]
    assert run.records.facts("encrypt_upload", "sim-people")["key"].startswith("broker:"), (
        "not the setting's local:"
    )
    assert str(ca) in (run.folder / "g1" / "agent.json").read_text()
    receipt = read_receipt(receipt_files(run.folder)[-1])
    assert receipt.proven
    token = (home / "broker" / "owner.token").read_bytes().strip()
    assert [path for path in run.folder.rglob("*") if path.is_file() and token in path.read_bytes()] == []

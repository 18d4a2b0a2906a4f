"""A real Airflow from outside: what its web UI does, by the same REST calls."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

ENDED = ("success", "failed")
_CLICKS = 30


class Rest:
    """Airflow's REST API for one user.

    Args:
        url: of the API server.
        user: who logs in.
        password: of that user.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        reply = self._session.post(
            f"{url}/auth/token", json={"username": user, "password": password}, timeout=30
        )
        reply.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def call(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        """JSON of the reply; fails on another status than `expect`, or than any good one.

        Airflow answers 500 or 503 while its scheduler holds SQLite; a person clicks again.
        """
        for _attempt in range(_CLICKS):
            reply = self._session.request(method, f"{self._url}{path}", json=body, timeout=60)
            if reply.status_code < 500:
                break
            time.sleep(1)
        good = reply.ok if expect is None else reply.status_code == expect
        assert good, f"{reply.status_code} {reply.text[:2000]}"
        return reply.json() if reply.content and "json" in reply.headers.get("content-type", "") else reply.text

    def dag(self, dag: str) -> Any:
        """What Airflow knows of a DAG; None before it was parsed."""
        reply = self._session.get(f"{self._url}/api/v2/dags/{dag}", timeout=60)
        return reply.json() if reply.ok else None

    def pause(self, dag: str, paused: bool) -> None:
        """The switch beside the DAG's name."""
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": paused})

    def trigger(self, dag: str, conf: dict[str, Any], *, expect: int | None = None, **more: Any) -> Any:
        """The trigger form; returns the DAG run."""
        return self.call(
            "POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf} | more, expect=expect
        )

    def run(self, dag: str, run_id: str) -> Any:
        """One DAG run."""
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}")

    def runs(self, dag: str) -> list[Any]:
        """All DAG runs, oldest first."""
        found = self.call("GET", f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=id")["dag_runs"]
        return list(found)

    def tasks(self, dag: str, run_id: str) -> dict[str, Any]:
        """Task instances by name; a mapped one has its index behind it."""
        found = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances?limit=100")
        return {
            one["task_id"] + (f"[{one['map_index']}]" if one["map_index"] >= 0 else ""): one
            for one in found["task_instances"]
        }

    def states(self, dag: str, run_id: str) -> dict[str, str | None]:
        """States of the task instances by name."""
        return {name: one["state"] for name, one in self.tasks(dag, run_id).items()}

    def ended(self, dag: str, run_id: str, seconds: float = 400) -> str:
        """The run's state once it has ended."""
        wait_until(lambda: self.run(dag, run_id)["state"] in ENDED, seconds, f"{run_id} ends")
        return str(self.run(dag, run_id)["state"])

    def mark(self, dag: str, run_id: str, state: str, task: str | None = None) -> None:
        """Mark a run, or one of its tasks, as success or failed."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run_id}" + (f"/taskInstances/{task}" if task else "")
        body = {"state": state} if task is None else {"new_state": state}
        self.call("PATCH", path, body)

    def clear(
        self, dag: str, run_id: str, *tasks: str, downstream: bool = True, only_failed: bool = False
    ) -> None:
        """Clear tasks of a run, or all of them; the run goes on."""
        body: dict[str, Any] = {
            "dry_run": False,
            "dag_run_id": run_id,
            "include_downstream": downstream,
            "only_failed": only_failed,
            "reset_dag_runs": True,
        }
        self.call(
            "POST", f"/api/v2/dags/{dag}/clearTaskInstances", body | ({"task_ids": tasks} if tasks else {})
        )

    def proof(self, dag: str, run_id: str) -> str:
        """The page behind the tab Proof."""
        return str(self.call("GET", f"/ppml/runs/{dag}/{run_id}"))


def wait_until(true: Callable[[], Any], seconds: float, what: str) -> None:
    """Look again and again; fails when `seconds` are over."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)


def password_of(airflow_home: Path, user: str = "admin") -> str:
    """What the simple auth manager made up."""
    path = airflow_home / "simple_auth_manager_passwords.json.generated"
    return str(json.loads(path.read_text())[user])


def healthy(url: str) -> bool:
    """All four parts of Airflow answer."""
    try:
        health = requests.get(f"{url}/api/v2/monitor/health", timeout=5).json()
    except (requests.RequestException, ValueError):
        return False
    return all(part.get("status") == "healthy" for part in health.values())

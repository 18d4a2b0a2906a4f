"""A real Airflow with a database of its own; the life-cycle DAG with stages that do as a test says."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts
from tests.support.proof import Proof


@pytest.fixture(scope="session")
def dag() -> Any:
    """The shipped DAG, parsed and written to the test's database as any deployment would."""
    from ppml_ops.airflow.headless.database import ensure_database, load_dag

    ensure_database()
    return load_dag("simple_query")


@pytest.fixture
def session() -> Iterator[Any]:
    """A session of the metadata database."""
    from airflow import settings

    assert settings.Session is not None
    with settings.Session() as opened:
        yield opened


class Stages:
    """Stand-ins for the work of all stages; records, frame, XCom and receipt are the real ones."""

    def __init__(self) -> None:
        self.instead: dict[str, Callable[[], None]] = {}
        self.ran: list[str] = []
        self._proofs: dict[str, Proof] = {}
        self.nodes = ["node-a", "node-b"]
        self.stays_in: str | None = None

    def work(self, operator: Any, run: Run, facts: Facts) -> Any:
        """What one stage does: the deviation of the test, then plausible facts and handles."""
        from ppml_ops.airflow.handles import NodeHandle

        self.ran.append(operator.stage)
        self.instead.get(operator.stage, lambda: None)()
        if run.key not in self._proofs:
            self._proofs[run.key] = Proof(run, version=len(self._proofs) + 1)
            self._proofs[run.key].store()
        proof = self._proofs[run.key]
        facts.update(proof.facts(operator.stage))
        if operator.stage == "submit":
            return [NodeHandle(node=node, generation="x-g1") for node in self.nodes]
        if operator.stage == "gather":
            operator._stays_in = self.stays_in
        return None


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stages:
    """Replace the work of every operator; state goes to a folder of the test's."""
    from ppml_ops.airflow.stage import StageOperator

    monkeypatch.setenv("PPML_OPS_HOME", str(tmp_path))
    stand_ins = Stages()

    def work(self: Any, run: Run, facts: Facts, context: Any) -> Any:
        return stand_ins.work(self, run, facts)

    def subclasses(cls: type) -> Iterator[type]:
        for sub in cls.__subclasses__():
            yield sub
            yield from subclasses(sub)

    for cls in subclasses(StageOperator):
        if "work" in vars(cls):
            monkeypatch.setattr(cls, "work", work)
    return stand_ins


@pytest.fixture
def new_run_id() -> str:
    """A run id that no other test has."""
    return f"test__{uuid.uuid4().hex}"


def no_context(_task_instance: Any) -> Any:
    """For `drive`: nothing around tasks."""
    return nullcontext()

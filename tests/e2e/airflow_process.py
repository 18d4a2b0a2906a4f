"""Drives several headless DAG runs in one process; started by the tests that need a real Airflow's state.

    python -m tests.e2e.airflow_process <state folder> <DAG folder>  < cases.json  > results.json

A case: {"run_id", "conf", "environment": {}, "mark": {"after": task, "task": task} or absent}. When the task
`after` has ended, the state of `task` is set to success in the metadata database, as a person does in the UI.
A result: {"state", "tasks": {name: state}, "log": text of all task logs} or {"refused": message}.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ppml_ops.airflow.headless.environment import configure
from ppml_ops.airflow.headless.output import log_path, redirected
from ppml_ops.errors import ConfigError

DAG_ID = "simple_query"


def run_case(dag: Any, case: dict[str, Any], logs: Path) -> dict[str, Any]:
    """One DAG run."""
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select, update

    from ppml_ops.airflow.headless.drive import drive

    session = settings.Session()
    mark = case.get("mark") or {}
    run_id = case["run_id"]
    of_run = (TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run_id)

    @contextmanager
    def around(task_instance: Any) -> Iterator[None]:
        with redirected(log_path(logs, task_instance)):
            yield
        if task_instance.task_id == mark.get("after"):
            marked = update(TaskInstance).where(*of_run, TaskInstance.task_id == mark["task"])
            session.execute(marked.values(state="success"))
            session.commit()

    try:
        state = drive(dag, run_id, case["conf"], around, session)
    except ConfigError as error:
        return {"refused": str(error)}
    session.expire_all()
    tasks = {
        one.task_id if one.map_index < 0 else f"{one.task_id}[{one.map_index}]": str(one.state)
        for one in session.scalars(select(TaskInstance).where(*of_run))
    }
    session.close()
    files = sorted((logs / f"dag_id={DAG_ID}" / f"run_id={run_id}").rglob("*.log"))
    return {"state": state, "tasks": tasks, "log": "".join(path.read_text() for path in files)}


def main(home: Path, dags: Path) -> None:
    """All cases of standard input, in order."""
    cases = json.load(sys.stdin)
    airflow_home = configure(home, dags)
    results = []
    with redirected(home / "logs" / "airflow-process.log"):
        from ppml_ops.airflow.headless.database import ensure_database, load_dag

        ensure_database()
        for case in cases:
            dag = load_dag(DAG_ID)  # anew: Airflow leaves a run's parameters in the DAG's Param objects
            before = dict(os.environ)
            os.environ.update(case.get("environment", {}))
            results.append(run_case(dag, case, airflow_home / "logs"))
            os.environ.clear()
            os.environ.update(before)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The cluster DAGs as Airflow reads them; what their tasks do is tried in tests/cluster/test_setup.py."""

from typing import Any

import pytest

from ppml_ops.spark.k8s.setup import STEPS

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def load() -> Any:
    from ppml_ops.airflow.headless.database import ensure_database, load_dag

    ensure_database()
    return load_dag


def test_set_up_is_a_chain_that_ends_with_the_doctor(load: Any) -> None:
    dag = load("cluster_setup")
    assert [task.task_id for task in dag.topological_sort()] == [*STEPS, "check_up"]
    assert not list(dag.get_task("check_up").downstream_task_ids)
    assert dag.timetable.can_be_scheduled is False
    assert {"k8s", "tdx-vm"} <= set(dag.params.get_param("profile").schema["enum"])
    assert "local" not in dag.params.get_param("profile").schema["enum"]


def test_the_reaper_waits_to_be_wanted(load: Any) -> None:
    assert load("reaper").is_paused_upon_creation

"""The shipped DAG: light to import, zones and queues in place, and a policy that guards its shape."""

import subprocess
import sys
from typing import Any

import pytest
from airflow.sdk import DAG

from ppml_ops.airflow.orchestrator import OpenRun, VerifyRun
from ppml_ops.airflow.policies import shape_problems
from ppml_ops.airflow.receipt import WriteReceipt
from ppml_ops.airflow.submit import Submit

pytestmark = pytest.mark.airflow

OWNER = {"generate_key", "encrypt_upload", "issue_ticket", "decrypt", "retire_ticket"}


def test_every_task_has_a_zone_and_goes_to_its_queue(dag: Any) -> None:
    for task in dag.tasks:
        zone = task.operator_class.zone if task.task_id == "gather" else task.zone
        assert zone == ("owner" if task.task_id in OWNER else "orchestrator"), task.task_id
        if task.task_id != "gather":
            assert task.queue == zone


@pytest.mark.parametrize("name", ["simple_query", "cluster"])
def test_importing_the_dag_folder_adds_no_spark_and_no_kubernetes(project: Any, name: str) -> None:
    code = (
        "import airflow.sdk, airflow.dag_processing.dagbag, sys; before = set(sys.modules);"
        f"import runpy; runpy.run_path('dags/{name}.py');"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new & {'pyspark', 'kubernetes', 'py4j', 'uvicorn'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_shipped_dag_is_sound(dag: Any) -> None:
    assert shape_problems(dag) == []


def unsound() -> list[tuple[str, DAG]]:
    with DAG("none") as without_receipt:
        OpenRun(task_id="open_run") >> Submit(task_id="submit") >> VerifyRun(task_id="verify_run")
    with DAG("plain") as ordinary_receipt:
        OpenRun(task_id="open_run") >> Submit(task_id="submit") >> WriteReceipt(task_id="receipt")
    with DAG("leaf") as other_leaf:
        opened = OpenRun(task_id="open_run")
        submit = Submit(task_id="submit")
        opened >> [submit, VerifyRun(task_id="verify_run")]
        submit >> WriteReceipt(task_id="receipt").as_teardown(setups=opened, on_failure_fail_dagrun=True)
    return [
        ("has no receipt", without_receipt),
        ("must be a teardown", ordinary_receipt),
        ("verify_run is a leaf", other_leaf),
    ]


@pytest.mark.parametrize("problem", ["has no receipt", "must be a teardown", "verify_run is a leaf"])
def test_an_arrangement_that_can_turn_green_wrongly_is_refused(problem: str) -> None:
    dag = next(dag for name, dag in unsound() if name == problem)
    assert any(problem in found for found in shape_problems(dag))


def test_other_peoples_dags_are_none_of_our_business() -> None:
    from airflow.providers.standard.operators.empty import EmptyOperator

    with DAG("other") as dag:
        EmptyOperator(task_id="a")
    assert shape_problems(dag) == []

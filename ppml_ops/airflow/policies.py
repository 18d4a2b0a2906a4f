"""Cluster policies: refuse at parse time a life-cycle DAG whose shape can turn a failure green.

Loaded while Airflow itself is imported, so everything heavier than a function is imported inside.
"""

from typing import TYPE_CHECKING, Any

from airflow.policies import hookimpl

if TYPE_CHECKING:
    from airflow.sdk import DAG

RECEIPT = "receipt"


def shape_problems(dag: "DAG") -> list[str]:
    """What is wrong with the arrangement of a life-cycle DAG; empty for others and for sound ones.

    Sound (docs/adr/0003): the receipt is a teardown that may fail the run, and nothing is downstream of it;
    no other teardown may fail the run, and no other task is a leaf.
    """
    stages: dict[str, Any] = {
        stage: task for task in dag.tasks if (stage := getattr(task, "stage", None)) and hasattr(task, "zone")
    }
    if "submit" not in stages:
        return []
    problems = []
    receipt = stages.get(RECEIPT)
    if receipt is None:
        problems.append("it has no receipt, so nothing proves the run")
    else:
        if not (receipt.is_teardown and receipt.on_failure_fail_dagrun):
            problems.append("the receipt must be a teardown with on_failure_fail_dagrun=True")
        if receipt.downstream_task_ids:
            problems.append("something is downstream of the receipt")
    for task in dag.tasks:
        if task is not receipt and task.is_teardown and task.on_failure_fail_dagrun:
            problems.append(f"the teardown {task.task_id} may fail the run; only the receipt may")
        if task is not receipt and not task.is_teardown and not task.downstream_task_ids:
            problems.append(f"{task.task_id} is a leaf, so its failure or skip would decide the run's state")
    return problems


@hookimpl
def dag_policy(dag: "DAG") -> None:
    """Refuse a DAG with `shape_problems`; the reasons stand in Airflow's import errors."""
    problems = shape_problems(dag)
    if problems:
        from airflow.exceptions import AirflowClusterPolicyViolation

        raise AirflowClusterPolicyViolation(f"life-cycle DAG {dag.dag_id}: {'; '.join(problems)}")

"""Rules for all life-cycle DAGs of an Airflow, without touching them: copy to $AIRFLOW_HOME/config and change.

It wants the pool `spark` (`airflow pools set spark 2 "Spark jobs at a time"`) and, for alerts, PPML_ALERT_URL
in the environment of the workers. Tried by tests/e2e/scheduler.
"""

import os
from datetime import timedelta

import requests


def task_policy(task):
    """Airflow calls it for each task when a DAG file is parsed. Operators of PPML Ops name their stage."""
    stage = getattr(task, "stage", None)
    if stage == "submit":
        task.pool = "spark"  # Spark jobs at a time, over all DAGs
        task.execution_timeout = timedelta(hours=4)  # instead of the operator's own 25 hours
    if stage in ("open_run", "receipt"):
        task.on_failure_callback = [not_proven]  # one of them fails whenever a run is not proven


def not_proven(context):
    """Tell somebody: who asked for what stands in the run, why it failed on its tab Proof. No data, no key."""
    url = os.environ.get("PPML_ALERT_URL")
    if url:
        run = context["dag_run"]
        text = {"dag": run.dag_id, "run": run.run_id, "why": str(context.get("exception"))[:500]}
        requests.post(url, json=text, timeout=10).raise_for_status()

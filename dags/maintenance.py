"""Nightly maintenance: remove what retention lets go, and try whether every sealed version can still be opened.

Paused until you unpause it. The rules are in `retention.yaml` of the state folder (docs/maintenance.md).
"""

from airflow.sdk import DAG, CronTriggerTimetable, Param

from ppml_ops.airflow.maintenance import Clean, KeyDrill

with DAG(
    "maintenance",
    schedule=CronTriggerTimetable("30 4 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    params={
        "dry_run": Param(False, type="boolean", title="Dry run", description="Only log what would be removed."),
    },
    tags=["ppml-ops"],
    doc_md=__doc__,
):
    Clean(task_id="clean") >> KeyDrill(task_id="key_drill")

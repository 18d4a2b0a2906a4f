"""A Kubernetes cluster for runs: `cluster_setup` by hand, `reaper` every hour once you unpause it.

Both work with the Kubernetes connection, else with KUBECONFIG (docs/kubernetes.md). Set-up needs an
administrator's rights; the same steps are in `ppml-ops cluster setup`.
"""

from airflow.sdk import DAG, CronTriggerTimetable, Param, chain

from ppml_ops.airflow.cluster import CheckUp, Reap, SetUp, cluster_profiles
from ppml_ops.spark.k8s.setup import STEPS

DRY_RUN = Param(False, type="boolean", title="Dry run", description="Only log what would be changed.")
PROFILES = cluster_profiles()

with DAG(
    "cluster_setup",
    schedule=None,
    max_active_runs=1,
    params={
        "profile": Param(
            PROFILES[0], type="string", enum=PROFILES, title="Profile", description="What to set up for."
        ),
        "dry_run": DRY_RUN,
    },
    tags=["ppml-ops"],
    doc_md=__doc__,
):
    chain(*(SetUp(task_id=step, step=step, retries=0) for step in STEPS), CheckUp(task_id="check_up"))

with DAG(
    "reaper",
    schedule=CronTriggerTimetable("15 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    params={"dry_run": DRY_RUN},
    tags=["ppml-ops"],
    doc_md=__doc__,
):
    Reap(task_id="reap", retries=1)

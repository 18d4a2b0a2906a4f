"""One life-cycle DAG for each file of pipelines/*.yaml: jobs of the user's own (docs/pipelines.md).

Airflow reads this folder; `PPML_OPS_PIPELINES_FOLDER` names another one for the specifications.
"""

from pathlib import Path

from airflow.sdk import DAG  # noqa: F401  # Airflow looks into files that name it

from ppml_ops.airflow.pipelines.factory import pipelines
from ppml_ops.settings import Settings

globals().update(pipelines(Settings().pipelines_folder or Path(__file__).parent.parent / "pipelines"))

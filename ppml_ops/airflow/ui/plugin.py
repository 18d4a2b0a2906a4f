"""Registers the proof page as a tab of each run."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from ppml_ops.airflow.ui.app import app


class PpmlOpsPlugin(AirflowPlugin):
    """The tab *Proof* on the page of a run."""

    name = "ppml_ops"
    fastapi_apps: list[Any] = [{"app": app, "url_prefix": "/ppml", "name": "PPML Ops"}]  # noqa: RUF012 - Airflow's way
    external_views: list[Any] = [  # noqa: RUF012 - Airflow's way
        {
            "name": "Proof",
            "href": "/ppml/runs/{DAG_ID}/{RUN_ID}",
            "url_route": "ppml-proof",
            "destination": "dag_run",
        }
    ]

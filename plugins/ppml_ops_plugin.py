"""Airflow finds plugins in this folder; the code lives in ppml_ops.airflow.ui."""

from ppml_ops.airflow.ui.plugin import PpmlOpsPlugin

__all__ = ["PpmlOpsPlugin"]

"""Confidential Spark pipelines as Airflow DAGs."""

__version__ = "0.1.0"

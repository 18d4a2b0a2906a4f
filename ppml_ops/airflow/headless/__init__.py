"""A DAG run without scheduler and web server: real Airflow, its own database, driven by this process."""

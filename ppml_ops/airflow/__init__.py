"""PPML Ops as an Airflow provider: operators, XCom guard, policies. The only place that imports Airflow."""

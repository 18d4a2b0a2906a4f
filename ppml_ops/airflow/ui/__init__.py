"""What PPML Ops adds to Airflow's web UI: a page on each run that says whether it is proven."""

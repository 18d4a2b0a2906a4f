"""The stages of a run, one module each, free of Airflow. Operators, CLI and tests call these."""

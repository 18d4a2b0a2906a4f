"""DAGs from pipeline specifications: one YAML file, one life-cycle DAG around the user's own program."""

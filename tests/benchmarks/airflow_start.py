"""Times what a headless run does before its first task, step by step, in a process of its own.

python -m tests.benchmarks.airflow_start STATE_FOLDER DAG_FOLDER OUTPUT_FILE      writes {step: seconds}
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path


def main(home: Path, dags: Path, output: Path) -> None:
    """The steps of `ppml_ops.cli.run`, in its order."""
    marks = [("", time.perf_counter())]
    from ppml_ops.airflow.headless.environment import configure

    configure(home, dags)
    import airflow.settings  # noqa: F401  # configures Airflow

    marks.append(("import Airflow", time.perf_counter()))
    from ppml_ops.airflow.headless.database import ensure_database, load_dag

    ensure_database()
    marks.append(("check the database", time.perf_counter()))
    load_dag("simple_query")
    marks.append(("parse the DAG folder", time.perf_counter()))
    steps = {name: end - start for (_, start), (name, end) in pairwise(marks)}
    output.write_text(json.dumps(steps), encoding="ascii")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))

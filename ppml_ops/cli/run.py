"""`ppml-ops run DAG`: one headless run of a DAG, from services to result, with its exit code."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ppml_ops.airflow.headless.driving import headless, only_driver
from ppml_ops.cli.options import AsJson, home, parse_assignments, require_airflow, show_json
from ppml_ops.cli.services import ensure_services, services_kept
from ppml_ops.cli.shipped_files import shipped_folder
from ppml_ops.cli.summary import Outcome, TaskTry, show_summary, summarise_run
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir
from ppml_ops.lifecycle.run import find_run
from ppml_ops.settings import Settings


def run(
    dag: Annotated[str, typer.Argument(help="DAG id, e.g. simple_query.")],
    date: Annotated[str | None, typer.Option(help="Day of the data, YYYY-MM-DD; default: yesterday.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows to generate, when there is no input.")] = None,
    run_id: Annotated[str | None, typer.Option(help="Id of the run; an existing one is continued.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("-c", "--conf", help="Parameter of the DAG as key=value; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a DAG headless; exit 0 only when the run succeeded."""
    require_airflow()
    conf = parse_assignments(assignments or [])
    if run_id is not None and not re.fullmatch(r"[A-Za-z0-9_.~:+-]{1,250}", run_id):
        raise ConfigError(
            f"{run_id[:80]!r} is not a run id", next_step="use up to 250 letters, digits and any of _ . ~ : + -"
        )
    conf |= {key: value for key, value in (("date", date), ("rows", rows)) if value is not None}
    state = home()
    wanted = run_id or f"cli__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00"
    terminal = Console(file=os.fdopen(os.dup(1), "w"), highlight=False, quiet=as_json)
    dags = dags_folder()
    with headless(state), only_driver(state, dag, wanted, f"run {wanted}"):
        started = time.monotonic()
        with terminal.status("starting key broker and simulated platform"):
            ensure_services(state)
        with services_kept(state):
            outcome = _drive(state, dags, dag, wanted, conf, terminal)
        summary = summarise_run(find_run(state, dag, wanted), outcome, time.monotonic() - started)
    if as_json:
        show_json(summary.as_json())
    else:
        show_summary(terminal, summary)
    if not summary.succeeded:
        raise typer.Exit(1)


def dags_folder() -> Path:
    """The DAG folder: the setting, `dags` of the working folder, or the shipped one.

    Raises:
        ConfigError: none of them exists; lists all places.
    """
    setting = Settings().dags_folder
    places = [setting] if setting else [Path.cwd() / "dags", shipped_folder("dags")]
    for place in places:
        if place.is_dir():
            return place.absolute()
    raise ConfigError(
        f"there is no DAG folder; looked at {', '.join(str(place) for place in places)}",
        next_step="run this in the project's folder, or set PPML_OPS_DAGS_FOLDER",
    )


def _drive(
    state: Path, dags: Path, dag_id: str, run_id: str, conf: dict[str, Any], terminal: Console
) -> Outcome:
    """Import Airflow (seconds), then run every task with its output in Airflow's log folder."""
    from ppml_ops.airflow.headless.environment import configure

    airflow_home = configure(state, dags)
    private_dir(state / "logs")
    from ppml_ops.airflow.headless.output import log_path, redirected

    setup_log = state / "logs" / "airflow.log"
    with terminal.status("starting Airflow"), redirected(setup_log):
        from airflow import settings

        from ppml_ops.airflow.headless.database import ensure_database, load_dag, refuse_beside_a_scheduler
        from ppml_ops.airflow.headless.drive import drive, identity_of, state_of

        ensure_database()
        refuse_beside_a_scheduler()
        dag = load_dag(dag_id)
        assert settings.Session is not None, "importing airflow configures it"
        session = settings.Session()
    terminal.print(f"[bold]{dag_id}[/]  run {run_id}")
    writes_receipt = any(getattr(task, "stage", None) == "receipt" for task in dag.tasks)
    outcome = Outcome("failed", dag_id, run_id, [], writes_receipt)

    @contextmanager
    def around(task_instance: Any) -> Iterator[None]:
        name = task_instance.task_id
        identity = identity_of(task_instance)
        log = log_path(airflow_home / "logs", task_instance)
        begun = time.monotonic()
        with terminal.status(name), redirected(log):
            yield
        seconds = time.monotonic() - begun
        state, index = state_of(session, identity)
        name += f" {index}" if index else ""
        task = TaskTry(name, state, seconds, log)
        outcome.tasks.append(task)
        mark = {"success": "[green]✓[/]", "up_for_retry": "[yellow]↻[/]"}.get(task.state, "[red]✗[/]")
        terminal.print(f"  {mark} {name:<18} {seconds:7.2f} s")

    try:
        with redirected(setup_log):
            return outcome._replace(state=drive(dag, run_id, conf, around, session))
    finally:
        session.close()

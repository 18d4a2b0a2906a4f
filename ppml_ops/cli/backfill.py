"""`ppml-ops backfill DAG --from D --to D`: Airflow's own backfill of a range of days, to its proven end."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ppml_ops.airflow.headless.driving import only_driver
from ppml_ops.cli.options import AsJson, home, parse_assignments, require_airflow, show_json
from ppml_ops.cli.run import dags_folder
from ppml_ops.cli.services import ensure_services, services_kept
from ppml_ops.files import private_dir

if TYPE_CHECKING:
    from ppml_ops.airflow.headless.backfill import Request
    from ppml_ops.airflow.headless.backfill_drive import Interruption

MAX_PARALLEL = 32
_INTERRUPTED = 130  # as shells report SIGINT


class Reprocess(StrEnum):
    """Which days that have a run already are run again."""

    none = "none"
    failed = "failed"
    completed = "completed"


def backfill(
    dag: Annotated[str, typer.Argument(help="DAG id, e.g. simple_query.")],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, inclusive.")],
    parallel: Annotated[
        int, typer.Option(min=1, max=MAX_PARALLEL, help="Runs at a time; above 1 a scheduler is started.")
    ] = 1,
    reprocess: Annotated[
        Reprocess, typer.Option(help="Days that have a run already: leave them, or run failed or all again.")
    ] = Reprocess.none,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be done.")] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option("-c", "--conf", help="Parameter of every run as key=value; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a DAG for every day of a range; exit 0 only when each day has a proven run."""
    require_airflow()
    conf = parse_assignments(assignments or [])
    state = home()
    terminal = Console(file=os.fdopen(os.dup(1), "w"), highlight=False, quiet=as_json)
    with only_driver(state, dag, "backfill", f"a backfill of {dag}"):
        started = time.monotonic()
        airflow_home = _import_airflow(state, terminal)
        from ppml_ops.airflow.headless.backfill import Request

        request = Request(dag, first.date(), last.date(), conf, reprocess.value, parallel)
        if dry_run:
            _show_plan(state, request, terminal, as_json=as_json)
            return
        good = _run(state, airflow_home, request, terminal, as_json=as_json)
        terminal.print(f"{'success' if good else 'NOT COMPLETE'} in {time.monotonic() - started:.1f} s")
    if not good:
        raise typer.Exit(1)


def _import_airflow(state: Path, terminal: Console) -> Path:
    """Import Airflow (seconds) with its words in our log; returns its home."""
    from ppml_ops.airflow.headless.environment import configure

    airflow_home = configure(state, dags_folder())
    private_dir(state / "logs")
    from ppml_ops.airflow.headless.output import redirected

    with terminal.status("starting Airflow"), redirected(state / "logs" / "airflow.log"):
        from ppml_ops.airflow.headless.database import ensure_database

        ensure_database()
    return airflow_home


def _session() -> Any:
    """A session beside the one that Airflow keeps for each thread."""
    from airflow import settings
    from sqlalchemy.orm import Session

    return Session(settings.engine, expire_on_commit=False)


def _show_plan(state: Path, request: "Request", terminal: Console, *, as_json: bool) -> None:
    from ppml_ops.airflow.headless.backfill import would_do
    from ppml_ops.airflow.headless.database import load_dag
    from ppml_ops.airflow.headless.output import redirected

    session = _session()
    try:
        with redirected(state / "logs" / "airflow.log"):
            days = would_do(load_dag(request.dag_id), request, session)
    finally:
        session.close()
    if as_json:
        show_json({"dag_id": request.dag_id, "days": [{"day": str(d.day), "would": d.state} for d in days]})
    for day in days:
        terminal.print(f"{day.day}  {day.state}{f': {day.reason}' if day.reason else ''}")


def _run(state: Path, airflow_home: Path, request: "Request", terminal: Console, *, as_json: bool) -> bool:
    """True when every day has a proven run."""
    from ppml_ops.airflow.headless.backfill_drive import Backfiller, Interruption
    from ppml_ops.airflow.headless.database import load_dag
    from ppml_ops.airflow.headless.output import log_path, redirected
    from ppml_ops.cli.backfill_report import Progress, outcome_of, show_outcomes

    with terminal.status("starting key broker and simulated platform"):
        ensure_services(state)
    progress = Progress(terminal)
    interruption = Interruption()

    @contextmanager
    def around(task_instance: Any) -> Iterator[None]:
        progress.task(task_instance.run_id, task_instance.task_id)
        with redirected(log_path(airflow_home / "logs", task_instance)):
            yield

    session = _session()
    try:
        with redirected(state / "logs" / "airflow.log"):
            dag = load_dag(request.dag_id)
            backfiller = Backfiller(
                state, dag, request, session, on_days=progress.days, around=around, interruption=interruption
            )
            with services_kept(state), _interruptible(interruption), progress.shown():
                number, days = backfiller.finish()
    except KeyboardInterrupt:
        terminal.print(f"interrupted; go on with the same command: {request.command}", soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        session.close()
    outcomes = [outcome_of(state, request.dag_id, day) for day in days]
    good = bool(outcomes) and all(one.good for one in outcomes)
    if as_json:
        show_json(
            {
                "backfill": number,
                "dag_id": request.dag_id,
                "succeeded": good,
                "days": [one.as_json() for one in outcomes],
            }
        )
    show_outcomes(terminal, outcomes)
    return good


@contextmanager
def _interruptible(interruption: "Interruption") -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end the backfill with everything that it started.

    Airflow puts a handler of its own for SIGTERM into place with every task and leaves it there, so a thread
    hears of the signals by `set_wakeup_fd`, which no handler can take away, and passes them on as SIGINT.
    """

    def interrupt(_number: int, _frame: Any) -> None:
        interruption.requested = True
        raise KeyboardInterrupt

    ending = (signal.SIGTERM, signal.SIGHUP)
    heard, told = os.pipe()
    os.set_blocking(told, False)

    def listen() -> None:
        while number := os.read(heard, 1):
            if number[0] in ending and not interruption.requested:
                interruption.requested = True
                os.kill(os.getpid(), signal.SIGINT)

    before = {number: signal.signal(number, lambda *_: None) for number in ending}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    former = signal.set_wakeup_fd(told)
    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        os.close(told)
        listener.join()
        os.close(heard)
        for number, handler in before.items():
            signal.signal(number, handler)

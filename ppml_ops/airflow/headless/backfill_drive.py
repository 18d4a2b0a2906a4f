"""Bring a backfill to its end: in this process, by a scheduler started for it, or by one that runs already."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airflow.sdk import DAG
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ppml_ops.airflow.headless.backfill import Day, Request, close_backfill, days_of, open_backfill, unfinished
from ppml_ops.airflow.headless.database import scheduler_is_alive
from ppml_ops.airflow.headless.drive import AroundTask, drive, recover
from ppml_ops.airflow.headless.driving import headless, only_driver, scheduler, scheduler_of_ours
from ppml_ops.airflow.headless.stack import END, KILL
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir
from ppml_ops.lifecycle.backends import backend_of
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import find_run
from ppml_ops.spark.process import ProcessRecord, kill_tree

_POLL_SECONDS = 0.5
#: Longer than Airflow believes in a scheduler without heartbeat.
_DEAD_SECONDS = 45.0
_STOP_SECONDS = 60.0


class Interruption:
    """Set by a signal handler. Airflow takes what a handler raises inside a task for the task's failure."""

    requested = False


class Backfiller:
    """One backfill on its way.

    Args:
        home: state folder.
        dag: as `load_dag` gave it.
        request: what was asked for.
        session: of the metadata database, for this object only. Not Airflow's own one of the thread, which a
            run that is driven works with.
        on_days: gets the days whenever they were read.
        around: the context of each task that runs in this process.
        interruption: looked at after each task that runs in this process.
    """

    def __init__(
        self,
        home: Path,
        dag: DAG,
        request: Request,
        session: Session,
        *,
        on_days: Callable[[list[Day]], None],
        around: AroundTask,
        interruption: Interruption,
    ) -> None:
        self._home = home
        self._dag = dag
        self._request = request
        self._session = session
        self._on_days = on_days
        self._around = around
        self._interruption = interruption
        self._id = 0

    def finish(self) -> tuple[int, list[Day]]:
        """Make or continue the backfill, see all its runs to their end, close it.

        Returns:
            Its id and its days.

        Raises:
            ConfigError: it can't be made, or can't run here now; names what stands in the way.
            KeyboardInterrupt: interrupted; what was started is ended, and the same request goes on later.
        """
        if scheduler_is_alive():
            self._refuse_paused()
        self._id, _attached = open_backfill(self._dag, self._request, self._session)
        while unfinished(self._look()):
            if scheduler_is_alive():
                self._refuse_paused()
                self._follow(scheduler_is_alive)
            elif self._request.parallel > 1:
                self._by_own_scheduler()
            else:
                self._in_process()
        close_backfill(self._id, self._session)
        return self._id, self._look()

    def _look(self) -> list[Day]:
        days = days_of(self._id, self._dag, self._session)
        self._on_days(days)
        return days

    def _follow(self, alive: Callable[[], bool]) -> None:
        """Watch until all runs have ended or whoever runs them has."""
        while unfinished(self._look()) and alive():
            time.sleep(_POLL_SECONDS)

    # -- a scheduler that runs already -------------------------------------------------------------------

    def _refuse_paused(self) -> None:
        """A scheduler leaves the runs of a paused DAG alone. Waits for one that was just killed."""
        deadline = time.monotonic() + _DEAD_SECONDS
        while self._paused():
            if not scheduler_is_alive():
                return
            if scheduler_of_ours(self._home) or time.monotonic() > deadline:
                raise ConfigError(
                    f"DAG {self._dag.dag_id} is paused in the Airflow that runs on this state folder, "
                    "so its scheduler would not start the backfill",
                    next_step="unpause it there (that also starts the latest scheduled run), or end that "
                    "Airflow and call this again",
                )
            time.sleep(_POLL_SECONDS)

    def _paused(self) -> bool:
        from airflow.models.dag import DagModel

        self._session.rollback()
        return bool(self._session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == self._dag.dag_id)))

    # -- in this process ---------------------------------------------------------------------------------

    def _in_process(self) -> None:
        """One run after the other, one task at a time; the DAG may stay paused."""
        dag_id = self._dag.dag_id
        with headless(self._home):
            for day in unfinished(self._look()):
                assert day.run_id is not None
                with only_driver(self._home, dag_id, day.run_id, f"run {day.run_id}"):
                    try:
                        self._drive(day.run_id)
                    except KeyboardInterrupt:
                        self._end_jobs(day.run_id)
                        raise
                self._look()

    def _drive(self, run_id: str) -> None:
        from airflow import settings

        assert settings.Session is not None, "importing airflow configures it"
        session = settings.Session()
        try:
            drive(self._dag, run_id, {}, self._interruptible, session)
        finally:
            session.close()

    @contextmanager
    def _interruptible(self, task_instance: Any) -> Iterator[None]:
        """Stop after a task that was interrupted, and leave it as if it had not begun."""
        from airflow.models.taskinstance import TaskInstance

        self._look()
        identity = task_instance.id
        with self._around(task_instance):
            yield
        if self._interruption.requested:
            self._session.rollback()
            self._session.execute(update(TaskInstance).where(TaskInstance.id == identity).values(state=None))
            self._session.commit()
            raise KeyboardInterrupt

    def _end_jobs(self, run_id: str) -> None:
        run = find_run(self._home, self._dag.dag_id, run_id)
        for generation in generations(run) if run else []:
            backend_of(generation.run).end(generation)

    # -- a scheduler of its own --------------------------------------------------------------------------

    def _by_own_scheduler(self) -> None:
        """Several runs at a time. The DAG is unpaused meanwhile; no scheduled run is made."""
        from airflow.configuration import write_default_airflow_configuration_if_needed
        from airflow.models.dag import DagModel

        with scheduler(self._home):
            self._refuse_others()
            running = [day.run_id for day in self._look() if day.own and day.state == "running" and day.run_id]
            recover(self._dag, running, self._session)
            write_default_airflow_configuration_if_needed()  # else both children make secrets of their own
            paused = self._paused()
            with self._stack(self._dag.dag_id if paused else None) as stack:
                self._set_paused(DagModel, False)
                try:
                    self._follow(lambda: stack.poll() is None)
                finally:
                    self._set_paused(DagModel, paused)
                if stack.poll() is not None:
                    raise ConfigError(
                        f"the scheduler of the backfill ended by itself (exit code {stack.returncode})",
                        next_step=f"read {self._log}, then call this again",
                    )

    def _refuse_others(self) -> None:
        """The scheduler would also go on with runs that nobody asked it for."""
        from airflow.models.dag import DagModel
        from airflow.models.dagrun import DagRun

        other = self._session.execute(
            select(DagRun.dag_id, DagRun.run_id)
            .join(DagModel, DagModel.dag_id == DagRun.dag_id)
            .where(DagRun.state.in_(("queued", "running")))
            .where((DagRun.dag_id == self._dag.dag_id) | DagModel.is_paused.is_(False))
            .where(DagRun.backfill_id.is_(None) | (DagRun.backfill_id != self._id))
        ).first()
        if other is not None:
            raise ConfigError(
                f"run {other.run_id} of {other.dag_id} was begun and not finished, and the scheduler of a "
                "parallel backfill would go on with it",
                next_step=f"finish it first: ppml-ops run {other.dag_id} --run-id '{other.run_id}'; "
                "or leave --parallel out",
            )

    def _set_paused(self, model: Any, paused: bool) -> None:
        self._session.rollback()
        self._session.execute(update(model).where(model.dag_id == self._dag.dag_id).values(is_paused=paused))
        self._session.commit()

    @property
    def _log(self) -> Path:
        return private_dir(self._home / "logs") / "backfill.log"

    @contextmanager
    def _stack(self, pause: str | None) -> Iterator["subprocess.Popen[bytes]"]:
        """API server and scheduler; ended with all below them when the block is left or this process dies."""
        arguments = [str(_free_port())] + ([pause] if pause else [])
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        process, order = None, KILL
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "ppml_ops.airflow.headless.stack", *arguments],
                env=os.environ | self._environment(arguments[0]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
            record = ProcessRecord.of(process.pid)
            assert process.stdin is not None and process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise ConfigError("Airflow did not start", next_step=f"read {self._log}")
            yield process
            order = END
        finally:
            os.close(log)
            if process is not None:
                _end(process, record, order)

    def _environment(self, port: str) -> dict[str, str]:
        url = f"http://127.0.0.1:{port}"
        return {
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(max(4, 2 * self._request.parallel)),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # else unpausing makes the latest scheduled run
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # a slot stays held that long after its task
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: "subprocess.Popen[bytes]", record: ProcessRecord, order: bytes) -> None:
    """Let the stack end its parts; a second interrupt does not leave them behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with suppress(BrokenPipeError):
            assert process.stdin is not None
            process.stdin.write(order + b"\n")
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        kill_tree(record)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    finally:
        signal.signal(signal.SIGINT, before)

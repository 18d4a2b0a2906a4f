"""What a person or a machine sees of a backfill: one row a day, live and at the end."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ppml_ops.airflow.headless.backfill import Day
from ppml_ops.cli.options import plain
from ppml_ops.cli.summary import Outcome, RunSummary, summarise_run
from ppml_ops.lifecycle.run import find_run

_MARKS = {"success": "green", "failed": "red", "running": "yellow", "skipped": "magenta", "gone": "red"}


class DayOutcome(NamedTuple):
    """How one day ended: `good` when a run of it succeeded and a receipt proves that run."""

    day: Day
    run_key: str | None
    proven: bool
    good: bool
    reason: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "day": self.day.day.isoformat(),
            "state": self.day.state,
            "run_id": self.day.run_id,
            "run_key": self.run_key,
            "proven": self.proven,
            "good": self.good,
            "reason": self.reason or None,
        }


def outcome_of(home: Path, dag_id: str, day: Day) -> DayOutcome:
    """Read what the day's run left behind. A skipped day is judged by the run that was there before."""
    run = find_run(home, dag_id, day.run_id) if day.run_id else None
    state = "success" if day.state == "skipped" else day.state
    summary = summarise_run(run, Outcome(state, dag_id, day.run_id or "", []), 0.0)
    proven = summary.standing.proven
    good = proven and (day.state == "success" or day.reason == "already exists")
    reasons = [f"skipped: {day.reason}" if day.state == "skipped" else day.reason]
    if not good:
        reasons.append(_why(summary))
    return DayOutcome(day, run.key if run else None, proven, good, "; ".join(filter(None, reasons)))


def _why(summary: RunSummary) -> str:
    failures = [record for record in summary.records.values() if record.failure]
    if failures and failures[0].failure:
        return f"{failures[0].name}: {failures[0].failure.what}"
    if summary.standing.receipt is None and summary.outcome.state in ("queued", "running"):
        return ""
    return "" if summary.standing.proven else f"{summary.standing.word}: {summary.standing.why[0]}"


class Progress:
    """The days of a backfill while it runs: a live table on a terminal, else a line for each day that ends."""

    def __init__(self, terminal: Console) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._days: Sequence[Day] = ()
        self._tasks: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside the block the table is on the terminal."""
        if not self._terminal.is_terminal:
            yield
            return
        with Live(console=self._terminal, get_renderable=self._table, refresh_per_second=2, transient=True):
            yield

    def days(self, days: Sequence[Day]) -> None:
        """What the database says now."""
        with self._lock:
            for day in days:
                if day.run_id is None or not day.own:
                    continue
                if day.state == "running":
                    self._started.setdefault(day.run_id, time.monotonic())
                elif day.run_id in self._started and day.run_id not in self._seconds and day.state != "queued":
                    self._seconds[day.run_id] = time.monotonic() - self._started[day.run_id]
                    if not self._terminal.is_terminal:
                        colour = _MARKS.get(day.state, "white")
                        took = self._seconds[day.run_id]
                        self._terminal.print(f"{day.day}  [{colour}]{day.state:<8}[/] {took:8.1f} s")
            self._days = list(days)

    def task(self, run_id: str, name: str) -> None:
        """The task that a run is at."""
        self._tasks[run_id] = name

    def _table(self) -> Table:
        with self._lock:
            table = Table(box=None, header_style="bold", pad_edge=False)
            for name in ("day", "state", "seconds", "at"):
                table.add_column(name, justify="right" if name == "seconds" else "left")
            for day in self._days:
                run_id = day.run_id or ""
                begun = self._started.get(run_id)
                took = self._seconds.get(run_id) or (time.monotonic() - begun if begun else None)
                at = self._tasks.get(run_id, "") if day.state == "running" else day.reason
                colour = _MARKS.get(day.state, "dim")
                table.add_row(
                    str(day.day), f"[{colour}]{day.state}[/]", f"{took:.0f}" if took else "", plain(at)
                )
            return table


def show_outcomes(terminal: Console, outcomes: Sequence[DayOutcome]) -> None:
    """The table at the end."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("day", "state", "proof", "run", "why"):
        table.add_column(name, overflow="fold")
    for one in outcomes:
        proof = "[green]proven[/]" if one.proven else "[red]none[/]"
        colour = _MARKS.get(one.day.state, "dim")
        table.add_row(
            str(one.day.day), f"[{colour}]{one.day.state}[/]", proof, one.run_key or "", plain(one.reason)
        )
    terminal.print(table)

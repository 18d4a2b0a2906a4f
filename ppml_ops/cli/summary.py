"""What a person sees at the end of a run: stages, result, verdict, and what to do when it failed."""

import csv
import re
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from ppml_ops.cli.options import plain
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import StageRecord
from ppml_ops.receipts.standing import NO_RECEIPT, Standing, Word, standing_of

_FIRST_ROWS = 5
_SHOWN_DIGITS = 16


class TaskTry(NamedTuple):
    """One try of one task, and where its log lies."""

    name: str
    state: str
    seconds: float
    log: Path


class Outcome(NamedTuple):
    """The DAG run as Airflow sees it; `writes_receipt`: the DAG is a life cycle, which must prove its runs."""

    state: str
    dag_id: str
    run_id: str
    tasks: list[TaskTry]
    writes_receipt: bool = True


class RunSummary(NamedTuple):
    """A finished run; `run` is None when not even open_run succeeded."""

    run: Run | None
    outcome: Outcome
    records: dict[str, StageRecord]
    standing: Standing
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Airflow says success, and a receipt, signed and of the newest records, proves it.

        Runs of DAGs that write none, such as maintenance, have only Airflow's word.
        """
        proven = self.standing.proven or not self.outcome.writes_receipt
        return self.outcome.state == "success" and proven

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "state": self.outcome.state,
            "succeeded": self.succeeded,
            "run_id": self.outcome.run_id,
            "run_key": self.run.key if self.run else None,
            "day": self.run.day.isoformat() if self.run else None,
            "seconds": round(self.seconds, 3),
            "receipt": self.standing.receipt.digest if self.standing.receipt else None,
            "proof": self.standing.word,
            "problems": list(self.standing.why),
            "stages": [record.model_dump(mode="json") for record in self.records.values()],
            "tasks": [task._asdict() | {"log": str(task.log)} for task in self.outcome.tasks],
            "result": str(self.run.plaintext / "result") if self.run and self.succeeded else None,
        }


def summarise_run(run: Run | None, outcome: Outcome, seconds: float) -> RunSummary:
    """Read what the run left behind."""
    records = run.records.all() if run else {}
    standing = standing_of(run.home, run.folder, records) if run else NO_RECEIPT
    return RunSummary(run, outcome, records, standing, seconds)


def show_summary(terminal: Console, summary: RunSummary) -> None:
    """Print stages, first rows, verdict and failure."""
    if not summary.outcome.writes_receipt and summary.succeeded:
        terminal.print(f"[bold green]success[/] in {summary.seconds:.1f} s")
        return
    terminal.print()
    terminal.print(_stages(summary))
    if summary.succeeded and summary.run:
        for title, folder in _results(summary.run, summary.records):
            _show_rows(terminal, title, folder)
    _show_verdict(terminal, summary)
    if summary.succeeded:
        terminal.print(f"[bold green]success[/] in {summary.seconds:.1f} s, proven by its receipt")
        if summary.run:
            terminal.print(f"result   {summary.run.plaintext / 'result'}", soft_wrap=True)
            terminal.print(f"receipt  {summary.standing.file}", soft_wrap=True)
        if summary.standing.receipt:
            terminal.print(f"signed   by {summary.standing.receipt.signer}", soft_wrap=True)
    else:
        _show_failure(terminal, summary)


def _stages(summary: RunSummary) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (
        ("stage", "left"),
        ("state", "left"),
        ("seconds", "right"),
        ("rows", "right"),
        ("bytes", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # the literals above
    for record in summary.records.values():
        facts = record.facts
        size = facts.get("sealed_bytes", facts.get("bytes"))
        table.add_row(
            record.name,
            _state(record),
            f"{record.finished - record.started:.2f}",
            f"{facts['rows']:,}" if isinstance(facts.get("rows"), int) else "",
            f"{size:,}" if isinstance(size, int) else "",
        )
    return table


def _state(record: StageRecord) -> str:
    if record.outcome != "done":
        return "[red]failed[/]"
    return "[magenta]skipped[/]" if "stays_in" in record.facts else "[green]done[/]"


def _results(run: Run, records: dict[str, StageRecord]) -> list[tuple[str, Path]]:
    """Title and folder of each opened result."""
    opened = records["decrypt"].facts["results"] if "decrypt" in records else None
    datasets = sorted(opened) if isinstance(opened, dict) else []
    folder = run.plaintext / "result"
    if len(datasets) < 2:
        return [("first rows of the result", folder)]
    return [(f"first rows of {dataset}", folder / dataset) for dataset in datasets]


def _show_rows(terminal: Console, title: str, folder: Path) -> None:
    files = sorted(folder.rglob("*.csv"))
    rows: list[list[str]] = []
    header: list[str] = []
    for path in files:
        with path.open(encoding="utf-8", newline="") as text:
            reader = csv.reader(text)
            header = next(reader, header)
            rows += islice(reader, _FIRST_ROWS - len(rows))
    if not header:
        return
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in header:
        table.add_column(plain(name))
    for row in rows:
        table.add_row(*map(plain, row))
    terminal.print()
    terminal.print(table if rows else "the result has no rows")


def _show_verdict(terminal: Console, summary: RunSummary) -> None:
    attest = summary.records.get("attest")
    if attest is None or "allow" not in attest.facts:
        return
    facts = attest.facts
    if facts["simulated"] and facts["attested"]:
        terminal.print()
        terminal.print(
            "SIMULATED  The TEE of this run is simulated and protects nothing.",
            style="bold black on yellow",
        )
    if not facts["attested"]:
        terminal.print("UNATTESTED  No TEE was used.", style="bold black on yellow")
    submit = summary.records.get("submit")
    measurements = submit.facts.get("measurements") if submit else None
    terminal.print(f"verdict  [bold]{'ALLOW' if facts['allow'] else 'DENY'}[/]")
    if isinstance(measurements, dict):
        for name, value in measurements.items():
            text = str(value)
            shown = text if len(text) <= _SHOWN_DIGITS * 2 else f"{text[:_SHOWN_DIGITS]}…"
            terminal.print(f"         {name:<14} {shown}")


def _said_in_log(summary: RunSummary) -> list[str]:
    """Why the first stage failed: it has no folder for a record yet, only its task's log."""
    failed = [task.log for task in summary.outcome.tasks if task.state == "failed"]
    text = failed[0].read_text("utf-8", "replace") if failed and failed[0].exists() else ""
    found = re.findall(r"\[error +\] (\w+ failed: .*?|To do for .*?) +\[airflow", text)
    return [str(line) for line in found]


def _show_failure(terminal: Console, summary: RunSummary) -> None:
    terminal.print(f"[bold red]{summary.outcome.state}[/] after {summary.seconds:.1f} s")
    word = summary.standing.word
    if word not in (Word.PROVEN, Word.NOT_PROVEN):
        terminal.print(f"{word}: {'; '.join(summary.standing.why)}", style="bold red", markup=False)
    failures = [record for record in summary.records.values() if record.failure]
    if failures and failures[0].failure:
        first = failures[0]
        assert first.failure is not None
        terminal.print(f"{first.name}: {first.failure.what}", markup=False, soft_wrap=True)
        terminal.print(f"  for {first.failure.who}: {first.failure.next_step}", markup=False, soft_wrap=True)
    elif word is Word.NO_RECEIPT:
        for line in _said_in_log(summary):
            terminal.print(line, markup=False, soft_wrap=True)
    elif word is Word.NOT_PROVEN:
        for problem in summary.standing.why:
            terminal.print(f"not proven: {problem}", markup=False, soft_wrap=True)
    failed = [task for task in summary.outcome.tasks if task.state in ("failed", "upstream_failed")]
    if failed:
        terminal.print(f"log      {failed[0].log}", soft_wrap=True)
    terminal.print(
        f"go on    ppml-ops run {summary.outcome.dag_id} --run-id '{summary.outcome.run_id}'", soft_wrap=True
    )

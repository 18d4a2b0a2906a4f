"""`ppml-ops receipt show`: the receipt of a run, readable."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ppml_ops.cli.options import AsJson, console, home, plain, show_json
from ppml_ops.errors import ConfigError
from ppml_ops.receipts.receipt import Receipt, read_receipt, receipt_files

app = typer.Typer(help="Receipts of runs.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """A receipt says what a run did, stage by stage, and whether its records prove it."""


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Run key, or the path of a receipt.")], as_json: AsJson = False
) -> None:
    """Show the newest receipt of a run; exit 1 when the run is not proven."""
    receipt = _find(run)
    if as_json:
        show_json(receipt.model_dump(mode="json"))
    else:
        _print(receipt)
    if not receipt.proven:
        raise typer.Exit(1)


def _find(run: str) -> Receipt:
    path = Path(run)
    files = [path] if path.is_file() else receipt_files(home() / "runs" / path.name)
    if not files:
        raise ConfigError(
            f"NO RECEIPT for {run}: nothing proves what that run did",
            next_step="check the run key (a folder of runs/ in the state folder), or clear its receipt task",
        )
    return read_receipt(files[-1])


def _print(receipt: Receipt) -> None:
    out = console()
    out.print("[bold green]PROVEN[/]" if receipt.proven else "[bold red]NOT PROVEN[/]", receipt.digest)
    for name, value in receipt.run.items():
        out.print(f"  {name:<14}{value}", markup=False)
    for problem in receipt.problems:
        out.print(f"  {problem}", markup=False, style="red")
    table = Table("stage", "outcome", "seconds", "facts")
    for record in receipt.records:
        facts = {name: value for name, value in record.facts.items() if isinstance(value, str | int | bool)}
        text = ", ".join(f"{name}={str(value)[:24]}" for name, value in facts.items())
        table.add_row(record.name, record.outcome, f"{record.finished - record.started:.2f}", plain(text))
    out.print(table)
    if not receipt.zones_isolated:
        out.print("zones not isolated: owner and orchestrator stages ran as the same user")

"""Entry point: puts the commands together and turns errors into one clear message and an exit code."""

import sys

import typer
from pydantic import ValidationError
from rich.console import Console

from ppml_ops import __version__
from ppml_ops.cli import (
    attest,
    backfill,
    backup,
    broker,
    clean,
    cluster,
    dags,
    data,
    doctor,
    drill,
    keys,
    receipt,
    run,
    services_command,
    shred,
    spark,
    ui,
)
from ppml_ops.errors import ConfigError, PpmlError

app = typer.Typer(
    help="Confidential Spark pipelines as Airflow DAGs: seal, attest, run in a TEE, gather, open, prove.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("backfill")(backfill.backfill)
app.command("ui")(ui.ui)
app.command("doctor")(doctor.doctor)
app.add_typer(cluster.app, name="cluster")
app.add_typer(dags.app, name="dags")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("clean")(clean.clean)
keys.app.command("drill")(drill.drill)
app.add_typer(keys.app, name="keys")
data.app.command("shred")(shred.shred)
data.app.command("verify-destruction")(shred.verify)
app.add_typer(data.app, name="data")
app.add_typer(attest.app, name="attest")
app.add_typer(broker.app, name="broker")
app.add_typer(receipt.app, name="receipt")
app.add_typer(services_command.app, name="services")
app.add_typer(spark.app, name="spark")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def show_error(error: PpmlError) -> None:
    """What failed, who must act, what to do next; on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("error:", style="bold red", end=" ")
    console.print(error.what, markup=False)
    console.print(f"  for {error.who}: {error.next_step}", markup=False)


def main() -> None:
    """Run the command line; errors of our tree end with their exit code."""
    try:
        app()
    except PpmlError as error:
        show_error(error)
        sys.exit(error.exit_code)
    except ValidationError as error:
        if error.title != "Settings":
            raise
        first = error.errors(include_input=False, include_url=False)[0]
        wrong = ConfigError(
            f"the setting {'.'.join(map(str, first['loc']))} is wrong: {first['msg']}",
            next_step="looked into: flags, environment PPML_OPS_*, ppml-ops.toml in the working folder",
        )
        show_error(wrong)
        sys.exit(wrong.exit_code)

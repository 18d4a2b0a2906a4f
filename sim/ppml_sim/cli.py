"""The `ppml-sim` command."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ppml_ops.errors import PpmlError
from ppml_ops.settings import Settings
from ppml_sim import service

app = typer.Typer(
    help="A SIMULATED TDX platform for development and tests. It protects nothing.", no_args_is_help=True
)
_Home = Annotated[Path | None, typer.Option(help="State folder; default: PPML_OPS_HOME.")]


@app.command()
def serve(
    home: _Home = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until SIGTERM.")] = False,
    sockets: Annotated[
        Path | None, typer.Option(help="Folder of the sockets; default: in the home. With --foreground only.")
    ] = None,
    seed_file: Annotated[
        Path | None, typer.Option(help="Seed of a platform with several machines. With --foreground only.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--open", help="Serve all users; wants --sockets. With --foreground only.")
    ] = False,
) -> None:
    """Start the platform service; without --foreground in the background, unless it runs already."""
    folder = _folder(home)
    if foreground:
        typer.echo("SIMULATED TEE platform: protects nothing", err=True)
        service.serve(folder, sockets=_absolute(sockets), seed_file=_absolute(seed_file), everyone=everyone)
    elif sockets or seed_file or everyone:
        raise typer.BadParameter("--sockets, --seed-file and --open need --foreground")
    else:
        _show(service.start(folder))


@app.command()
def status(home: _Home = None) -> None:
    """Print the running service's status as JSON; exit 1 when none runs."""
    found = service.status(_folder(home))
    if found is None:
        typer.echo("no simulated platform runs for this home; start it: ppml-sim serve", err=True)
        raise typer.Exit(1)
    _show(found)


def main() -> None:
    """Entry point; errors of our tree become one line and their exit code."""
    try:
        app()
    except PpmlError as error:
        typer.echo(f"ppml-sim: {error}", err=True)
        sys.exit(error.exit_code)


def _folder(home: Path | None) -> Path:
    return _absolute(home) or Settings().home


def _absolute(path: Path | None) -> Path | None:
    return path.expanduser().absolute() if path is not None else None


def _show(found: dict[str, object]) -> None:
    typer.echo(json.dumps({key: value for key, value in found.items() if key != "ok"}, sort_keys=True))

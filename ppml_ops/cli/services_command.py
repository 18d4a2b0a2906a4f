"""`ppml-ops services`: key broker and simulated platform of this state folder."""

import typer

from ppml_ops.cli.options import console, home
from ppml_ops.cli.services import ensure_services, stop_services

app = typer.Typer(help="Key broker and simulated platform of this machine.", no_args_is_help=True)


@app.command()
def start() -> None:
    """Start what does not run yet; `run` does this by itself."""
    ensure_services(home())
    console().print("key broker and simulated platform run")


@app.command()
def stop() -> None:
    """End both. Runs that need them fail until they are started again; no key is lost."""
    ended = stop_services(home())
    console().print(f"ended: {', '.join(ended) or 'none was running'}")

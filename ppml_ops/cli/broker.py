"""`ppml-ops broker serve`: the key broker of this installation."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from ppml_ops.cli.options import home
from ppml_ops.errors import ConfigError
from ppml_ops.settings import Settings

app = typer.Typer(help="The key broker.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The key broker releases keys only against evidence, ticket and policy."""


@app.command()
def serve(
    root: Annotated[
        Path | None, typer.Option(help="Attestation root (DER); default: the simulated platform's.")
    ] = None,
    collateral: Annotated[
        Path | None, typer.Option(help="Collateral, a file or folder; default: the simulated platform's.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: PPML_OPS_BROKER_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[int, typer.Option(help="0 takes that of the last time, or a free one.")] = 0,
    name: Annotated[list[str] | None, typer.Option(help="Further name for the certificate.")] = None,
) -> None:
    """Serve until SIGTERM; writes broker/endpoint.json when it is ready."""
    from ppml_ops.broker.serve import serve as serve_broker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    state = home()
    root_file = root or state / "sim" / "root.der"
    if not root_file.exists():
        raise ConfigError(
            f"there is no attestation root at {root_file}",
            next_step="give --root FILE (Intel's, for hardware), or start the simulator: ppml-sim serve",
        )
    serve_broker(
        state,
        root_file,
        collateral or state / "sim" / "collateral.json",
        host or Settings().broker_host,
        port,
        names=name or [],
        local_keys=state / "keys",
    )

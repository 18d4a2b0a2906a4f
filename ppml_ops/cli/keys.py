"""`ppml-ops keys`: primary keys of any key service."""

from typing import Annotated

import typer
from rich.table import Table

from ppml_ops.cli.options import AsJson, console, home, show_json
from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import KeyInfo, KeyRef
from ppml_ops.keys.service import key_service_for

app = typer.Typer(help="Primary keys of any key service.", no_args_is_help=True)
Uri = Annotated[str, typer.Argument(help="Key reference, e.g. local:people or broker:people?version=2.")]


@app.command()
def create(uri: Uri) -> None:
    """Make a key, or show the one that exists; prints its reference with version."""
    ref = KeyRef.parse(uri)
    typer.echo(str(key_service_for(ref, home=home()).create(ref)))


@app.command("list")
def list_keys(
    service: Annotated[str, typer.Argument(help="Key service, e.g. local: or broker:.")] = "local:",
    as_json: AsJson = False,
) -> None:
    """All keys of a service."""
    _show(key_service_for(service, home=home()).list(), as_json)


@app.command()
def show(uri: Uri, as_json: AsJson = False) -> None:
    """Versions of a key and their states."""
    ref = KeyRef.parse(uri)
    _show([key_service_for(ref, home=home()).describe(ref)], as_json)


@app.command()
def rotate(uri: Uri) -> None:
    """Add a version and make it current; older ones still open what they wrapped."""
    ref = KeyRef.parse(uri)
    typer.echo(str(key_service_for(ref, home=home()).rotate(ref)))


@app.command()
def destroy(
    uri: Uri, yes: Annotated[bool, typer.Option("--yes", help="Do it; it can't be undone.")] = False
) -> None:
    """Destroy one version of a key: what only it can open is lost for ever."""
    ref = KeyRef.parse(uri)
    if not yes:
        raise ConfigError(
            f"destroying {ref} makes everything that only it can open unreadable for ever",
            next_step="say --yes if that is what you want",
        )
    key_service_for(ref, home=home()).destroy(ref)
    typer.echo(f"destroyed {ref}")


def _show(infos: list[KeyInfo], as_json: bool) -> None:
    if as_json:
        show_json([info.model_dump(mode="json") for info in infos])
        return
    table = Table("key", "version", "state", "created")
    for info in infos:
        for version in info.versions:
            current = " (current)" if version.version == info.current else ""
            table.add_row(info.name, str(version.version), version.state + current, version.created)
    console().print(table)

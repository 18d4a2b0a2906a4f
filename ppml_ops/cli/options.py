"""Options and helpers that several commands share."""

import importlib.util
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from ppml_ops.errors import ConfigError
from ppml_ops.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Key = Annotated[str, typer.Option("--key", help="Primary key, e.g. local:people or broker:people.")]


def home() -> Path:
    """The state folder; made when absent. Raises ConfigError when it can't be written."""
    from ppml_ops.files import private_dir
    from ppml_ops.lifecycle.run import unwritable

    folder = Settings().home
    if folder.is_dir():
        return folder
    try:
        return private_dir(folder)
    except OSError as error:
        raise unwritable(folder, error) from None


def require_airflow() -> None:
    """Raise ConfigError where only the core is installed: sealing and keys need no Airflow, running does."""
    if importlib.util.find_spec("airflow") is None:
        raise ConfigError("Airflow is not installed here", next_step="pip install 'ppml-ops[airflow]'")


def console() -> Console:
    """For people, on stdout; numbers and paths are not coloured."""
    return Console(highlight=False)


def show_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def plain(text: object) -> Text:
    """For a table: no markup in data is obeyed, and no control character reaches the terminal."""
    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text)))


def bytes_bar() -> Progress:
    """A progress bar over bytes, on stderr, gone when done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def parse_assignments(pairs: list[str]) -> dict[str, Any]:
    """`key=value` arguments as a dictionary; values are JSON where they parse as such, else text.

    Raises:
        ConfigError: a pair without "=".
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{pair!r} is not key=value", next_step="write for example -c min_age=30")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found

"""`ppml-ops dags install`: the DAGs of this package into the DAG folder of an Airflow of your own."""

from pathlib import Path
from typing import Annotated

import typer

from ppml_ops.cli.options import console
from ppml_ops.cli.shipped_files import shipped_folder
from ppml_ops.errors import ConfigError
from ppml_ops.files import write_private

app = typer.Typer(help="DAGs that come with this package.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The DAGs are meant to be copied and changed; the operators stay in the package."""


@app.command()
def install(
    folder: Annotated[Path, typer.Argument(help="DAG folder of your Airflow; must exist.")],
    plugins: Annotated[
        Path | None, typer.Option(help="Its plugins folder, for the tab Proof; must exist.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also replace files that differ.")] = False,
) -> None:
    """Copy the DAGs, and the plugin that shows proofs; files that somebody changed are left alone."""
    copies = _copies("dags", folder) + (_copies("plugins", plugins) if plugins else [])
    differing = [target for source, target in copies if target.exists() and not _same(source, target)]
    if differing and not replace:
        raise ConfigError(
            f"{', '.join(map(str, differing))} differs from what this version brings",
            next_step="keep it, or replace it by --replace",
        )
    for source, target in copies:
        if not target.exists() or target in differing:
            write_private(target, source.read_bytes(), mode=0o644)
            console().print(f"wrote {target}", soft_wrap=True)


def _copies(name: str, folder: Path) -> list[tuple[Path, Path]]:
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", next_step="make it, or name the one of your Airflow")
    return [(source, folder / source.name) for source in sorted(shipped_folder(name).glob("*.py"))]


def _same(source: Path, target: Path) -> bool:
    return source.read_bytes() == target.read_bytes()

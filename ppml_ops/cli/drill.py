"""`ppml-ops keys drill`: would anything be lost with the keys at hand, or with those of a backup?"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ppml_ops.cli.options import AsJson, console, home, plain, show_json
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError
from ppml_ops.maintenance.archive import read_passphrase
from ppml_ops.maintenance.drill import Tried, keys_at_hand, keys_in
from ppml_ops.maintenance.drill import drill_all as try_all
from ppml_ops.maintenance.places import data_places, storages_with_results
from ppml_ops.maintenance.restore import unpack
from ppml_ops.settings import Settings


def drill(
    storage: Annotated[
        str | None,
        typer.Argument(
            help="Folder or URL of data sets; default: the setting `storage`, and what runs recorded."
        ),
    ] = None,
    backup: Annotated[
        Path | None, typer.Option("--backup", help="Try the keys of this backup instead of those at hand.")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="Passphrase of the backup, mode 0600.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Unwrap the data key of every sealed version; opens no data. Exit 1 when one can't be opened."""
    state = home()
    folders = [Folder(storage)] if storage else data_places(state, Settings().storage)
    expected = [] if storage else storages_with_results(state)
    if backup is None:
        tried = try_all(state, folders, keys_at_hand(state), expected=expected)
    elif passphrase_file is None:
        raise ConfigError("a backup opens by its passphrase", next_step="name its file: --passphrase-file")
    else:
        with tempfile.TemporaryDirectory(prefix="ppml-drill-") as private:
            unpack(backup, Path(private), read_passphrase(passphrase_file))
            tried = try_all(state, folders, keys_in(Path(private)), expected=expected)
    lost = [one for one in tried if one.why]
    if as_json:
        show_json([one._asdict() for one in tried])
    else:
        _print(tried, lost)
    if lost:
        raise typer.Exit(1)


def _print(tried: list[Tried], lost: list[Tried]) -> None:
    out = console()
    if lost:
        table = Table("data set", "version", "wrapped by", "why it can't be opened")
        for one in lost:
            table.add_row(plain(one.path), str(one.version), plain(", ".join(one.keys)), plain(one.why))
        out.print(table)
    out.print(
        f"{len(tried) - len(lost)} of {len(tried)} versions can be opened", style="red" if lost else "green"
    )

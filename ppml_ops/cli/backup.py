"""`ppml-ops backup` and `ppml-ops restore`: the state folder in one encrypted file."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ppml_ops.cli.options import console
from ppml_ops.maintenance.archive import read_passphrase
from ppml_ops.maintenance.backup import back_up
from ppml_ops.maintenance.restore import restore as put_back
from ppml_ops.settings import Settings

PassphraseFile = Annotated[Path, typer.Option("--passphrase-file", help="File with the passphrase, mode 0600.")]


def backup(
    file: Annotated[Path, typer.Argument(help="New file for the backup.")],
    passphrase_file: PassphraseFile,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Also the sealed data sets in storage/.")
    ] = False,
) -> None:
    """Save keys, trust domain, audit log, records and receipts; services and runs may go on."""
    now = int(time.time())
    done = back_up(Settings().home, file, read_passphrase(passphrase_file), now=now, with_data=with_data)
    console().print(f"{done.files:,} files, {done.bytes:,} bytes in {file}", soft_wrap=True)
    if done.trust_domain:
        console().print(f"trust domain {done.trust_domain}")


def restore(
    file: Annotated[Path, typer.Argument(help="File of `ppml-ops backup`.")], passphrase_file: PassphraseFile
) -> None:
    """Restore a backup into the state folder, which must be empty."""
    home = Settings().home
    done = put_back(file, home, read_passphrase(passphrase_file), now=int(time.time()))
    made = datetime.fromtimestamp(done.made, UTC)
    console().print(f"{done.files:,} files of {made:%Y-%m-%d %H:%M} UTC in {home}", soft_wrap=True)
    if done.trust_domain:
        console().print(f"trust domain {done.trust_domain}")
    console().print("What the key broker decided after that time is not known to it: revoke tickets again.")

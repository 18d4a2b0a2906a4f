"""`ppml-ops data shred`: make a version unreadable for ever, and verify the record of that."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ppml_ops.broker.tickets import owner_key
from ppml_ops.canonical import canonical_json
from ppml_ops.cli.options import AsJson, console, home, show_json
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir, write_private
from ppml_ops.maintenance.destruction import Destruction, verify_destruction
from ppml_ops.maintenance.places import data_places, is_below
from ppml_ops.maintenance.shred import opened_copies, plan_shredding
from ppml_ops.maintenance.shred import shred as destroy
from ppml_ops.receipts.anchors import Anchors
from ppml_ops.settings import Settings


def shred(
    dataset: Annotated[str, typer.Argument(help="Folder or URL of a sealed data set.")],
    version: Annotated[int, typer.Option("--version", min=1, help="The version to shred.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; it can't be undone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Destroy what every copy of a version's wrapped key needs, then its manifest and parts."""
    state = home()
    store = DatasetStore(Folder(dataset))
    searched = data_places(state, Settings().storage)
    if not any(is_below(str(store.folder), str(folder)) for folder in searched):
        searched.append(Folder(dataset))
    plan = plan_shredding(state, store, version, searched)
    name = f"{plan.manifests[0].dataset} version {', '.join(map(str, plan.versions))}"
    if not yes:
        raise ConfigError(
            f"shredding makes {name} unreadable for ever, with the sealed logs under the same key",
            next_step="say --yes if that is what you want",
        )
    copies = opened_copies(state, plan)
    owner = owner_key(state / "owner" / "ticket-signing.jwk")
    record = destroy(state, plan, owner, now=int(time.time()), searched=searched, plaintext=copies)
    path = private_dir(state / "owner" / "destroyed") / f"{record.dataset}-{record.data_key_id}.json"
    write_private(path, canonical_json(record.model_dump(mode="json")))
    if as_json:
        show_json(record.model_dump(mode="json"))
        return
    _print(record)
    for copy in record.plaintext:
        console().print(f"  opened copy   {copy} is not under this key and still there", soft_wrap=True)
    console().print(f"  record        {path}", soft_wrap=True)


def verify(
    record: Annotated[Path, typer.Argument(help="Destruction record of `ppml-ops data shred`.")],
    trust: Annotated[Path, typer.Option("--trust", help="Anchors of `ppml-ops receipt anchors`.")],
) -> None:
    """Verify a destruction record offline; exit 76 when it is not authentic."""
    try:
        data = record.read_bytes()
    except OSError as error:
        raise ConfigError(f"{record} can't be read: {error.strerror}", next_step="check the path") from None
    verified = verify_destruction(data, Anchors.read(trust))
    _print(verified.record)
    console().print("  owner         signed this record")
    of = len(verified.record.wraps)
    console().print(f"  key broker    signed for {verified.by_broker} of {of} wrapped keys")


def _print(record: Destruction) -> None:
    out = console()
    versions = ", ".join(record.versions)
    out.print(f"shredded {record.dataset} version {versions}, data key {record.data_key_id}", soft_wrap=True)
    out.print(f"  sealed        {record.parts} parts, {record.sealed_bytes:,} bytes")
    for wrap in record.wraps:
        what = "its secret was erased" if wrap.how == "wrap-erased" else "this primary key was destroyed"
        out.print(f"  wrapped by    {wrap.key}: {what}", soft_wrap=True)
    out.print("  not reached   backups of the key service's folder from before; opened copies", soft_wrap=True)

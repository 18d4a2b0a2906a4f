"""`ppml-ops clean`: remove what retention lets go."""

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from ppml_ops.cli.options import AsJson, console, home, plain, show_json
from ppml_ops.maintenance.clean import Removal, removals
from ppml_ops.maintenance.places import storages
from ppml_ops.maintenance.retention import read_rules
from ppml_ops.settings import Settings


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it is only listed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List, or with --yes remove, what the rules in retention.yaml let go."""
    state = home()
    found = removals(state, storages(state, Settings().storage), read_rules(state), now=time.time())
    show_removals(list(found), yes=yes, as_json=as_json)


def show_removals(found: Sequence[Removal], *, yes: bool, as_json: bool) -> None:
    """Remove what was found, when `yes`, and print it all."""
    gone = [yes and one.remove() for one in found]
    if as_json:
        listed = zip(found, gone, strict=True)
        show_json([{"kind": one.kind, "path": one.path, "removed": removed} for one, removed in listed])
        return
    for one in found:
        console().print(f"{one.kind:<28}", plain(one.path), soft_wrap=True)
    may_go = sum(one.act is not None for one in found)
    console().print(
        f"{sum(gone)} of {may_go} things removed" if yes else f"{may_go} things to remove with --yes"
    )

"""What stages hand to each other through XCom: frozen models of bounded ids, digests and counts only."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ppml_ops.datasets.identity import Hex32, Hex64, Hex96
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.keys.model import DatasetId

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/?=-]{0,254}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]


class Handle(BaseModel):
    """Base of all models that may travel through XCom."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunHandle(Handle):
    """A run and the day it is about."""

    run_key: Name
    day: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    profile: Name


class KeysHandle(Handle):
    """References of primary keys."""

    keys: Annotated[tuple[Name, ...], Field(max_length=64)]


class VersionHandle(Handle):
    """A published version of a sealed data set."""

    dataset: DatasetId
    version: Count
    manifest_digest: Hex64
    parts: Count


def version_handle(manifest: Manifest) -> VersionHandle:
    """The handle of a published version."""
    return VersionHandle(
        dataset=manifest.dataset,
        version=manifest.version,
        manifest_digest=manifest.digest,
        parts=len(manifest.parts),
    )


class TicketHandle(Handle):
    """A job ticket."""

    ticket: Hex32
    job_digest: Hex96


class VerdictHandle(Handle):
    """What the broker thinks of the nodes."""

    allow: bool
    simulated: bool
    attested: bool


class NodeHandle(Handle):
    """A node that holds parts of a result; gather is mapped over these."""

    node: Name
    generation: Name


class OpenedHandle(Handle):
    """How many rows the owner saw, and whether they are the expected ones (None: nobody knows)."""

    rows: Count | None
    matches_expected: bool | None

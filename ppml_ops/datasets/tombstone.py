"""What stays of a data-set version that was removed on purpose: `_removed/<version>.json`.

The tombstone comes first and the bytes go after it, so that a version is whole or does not exist, and whatever
is cut in between says what it is and can be gone on with.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.manifest import Manifest, parse_manifest
from ppml_ops.errors import IntegrityError


class Tombstone(BaseModel):
    """A removed version.

    Attributes:
        kind: why: shredded on request, or expired by its data set's retention.
        state: begun: some of it may still be there.
        at: Unix seconds of the beginning.
        manifest: the version's last manifest.
        record: the signed destruction record of a shredded version, once there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    ppml: Literal["tombstone/1"] = "tombstone/1"
    dataset: str
    version: int = Field(ge=1, lt=1 << 31)
    kind: Literal["shredded", "expired"]
    state: Literal["begun", "done"]
    at: int = Field(ge=0, lt=1 << 53)
    manifest: dict[str, JsonValue]
    record: dict[str, JsonValue] | None = None

    def encode(self) -> bytes:
        """The file's bytes."""
        return canonical_json(self.model_dump(mode="json"))

    def manifest_of(self) -> Manifest:
        """The manifest that the version had. Raises IntegrityError when it is none."""
        return parse_manifest(canonical_json(self.manifest))

    def explain(self) -> str:
        """One sentence about the version."""
        verb = "was" if self.state == "done" else "is being"
        word = "shredded" if self.kind == "shredded" else "removed by its retention"
        return f"version {self.version} of {self.dataset} {verb} {word}"


def parse_tombstone(data: bytes, version: int) -> Tombstone:
    """The tombstone of `version` in the bytes of a file.

    Raises:
        IntegrityError: it is none, or that of another version.
    """
    found: Any = None
    try:
        found = Tombstone.model_validate(json.loads(data))
        whole = found.encode() == data and found.version == version
    except (ValidationError, ValueError, RecursionError):
        whole = False
    if not whole:
        raise IntegrityError(
            f"the tombstone of version {version} can't be read",
            next_step="restore it from a good copy; without it the version's number could be used again",
        )
    return Tombstone.model_validate(found)

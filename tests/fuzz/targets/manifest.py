"""A manifest or tombstone as it may lie in a storage that others write to."""

from contextlib import suppress

from ppml_ops.datasets.manifest import parse_manifest
from ppml_ops.datasets.tombstone import parse_tombstone
from ppml_ops.errors import PpmlError


def run(data: bytes) -> None:
    """Parse and authenticate."""
    with suppress(PpmlError):
        manifest = parse_manifest(data)
        assert manifest.encode() == data
        manifest.check(bytes(32))
    with suppress(PpmlError):
        parse_tombstone(data, 1).manifest_of()

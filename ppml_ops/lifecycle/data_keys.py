"""Unwrap the data key of a version with whichever of its wraps can be opened from here (owner zone)."""

from pathlib import Path

from ppml_ops.datasets.manifest import Manifest
from ppml_ops.errors import PpmlError
from ppml_ops.keys.service import key_service_for


def open_data_key(home: Path, manifest: Manifest) -> bytes:
    """The 32-byte data key of `manifest`, through the first of its wraps that opens.

    Raises:
        PpmlError: none opens; the error of the last one says why.
    """
    failure: PpmlError | None = None
    for wrap in manifest.wraps:
        try:
            return key_service_for(wrap.ref, home=home).unwrap(wrap, manifest.dataset)
        except PpmlError as error:
            failure = error
    assert failure is not None, "a manifest has at least one wrap"
    raise failure

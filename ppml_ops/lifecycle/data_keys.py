"""Unwrap the data key of a version with whichever of its wraps can be opened from here (owner zone)."""

from collections.abc import Sequence
from pathlib import Path

from ppml_ops.datasets.manifest import Manifest
from ppml_ops.errors import IntegrityError, PpmlError
from ppml_ops.keys.broker import BrokerSite
from ppml_ops.keys.model import KeyRef, WrappedKey
from ppml_ops.keys.service import key_service_for


def unwrap_first(
    home: Path, wraps: Sequence[WrappedKey], dataset: str, broker: BrokerSite | None = None
) -> bytes:
    """The 32-byte data key, through the first of its wraps that opens.

    Raises:
        PpmlError: none opens; the error of the last one says why.
    """
    failure: PpmlError | None = None
    for wrap in wraps:
        try:
            return key_service_for(wrap.ref, home=home, broker=broker).unwrap(wrap, dataset)
        except PpmlError as error:
            failure = error
    assert failure is not None, "there is at least one wrap"
    raise failure


def open_data_key(
    home: Path, manifest: Manifest, primary: KeyRef | None = None, broker: BrokerSite | None = None
) -> bytes:
    """The data key of `manifest`.

    Args:
        primary: the key that it must be wrapped by; None: any that opens. A manifest is authenticated with the
            key that it names itself, so a stage that expects a certain data set says whose key it expects.

    Raises:
        IntegrityError: it is wrapped by other keys only.
        PpmlError: no wrap opens; the error of the last one says why.
    """
    wraps = [wrap for wrap in manifest.wraps if primary is None or wrap.ref.unversioned() == primary]
    if not wraps:
        raise IntegrityError(
            f"version {manifest.version} of {manifest.dataset} is not wrapped by {primary}",
            next_step="restore the data set from a good copy; if its key was moved, seal the input again",
        )
    return unwrap_first(home, wraps, manifest.dataset, broker)

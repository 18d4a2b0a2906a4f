"""Put a version's data key under the current version of its primary key: same parts, new manifest, no copy."""

from ppml_ops.datasets.manifest import Manifest, ManifestHead, build_manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.keys.model import WrappedKey


def rewrap_version(
    store: DatasetStore, manifest: Manifest, data_key: bytes, wraps: tuple[WrappedKey, ...]
) -> Manifest:
    """Publish the parts of `manifest` as the next version with other `wraps` of the same data key.

    Raises:
        IntegrityError: `manifest` is not authentic under `data_key`.
        VersionTakenError: another writer published meanwhile.
    """
    manifest.check(data_key)
    document = manifest.document()
    for field in ("version", "parts", "mac"):
        del document[field]
    head = ManifestHead.model_validate(document).model_copy(
        update={"wraps": wraps, "previous": manifest.digest}
    )
    renewed = build_manifest(head, store.next_version(), list(manifest.parts), data_key)
    store.publish(renewed)
    return renewed

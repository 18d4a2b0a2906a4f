"""What a ticket lets its job write, and whether a manifest is that."""

from ppml_ops.broker.tickets import ReadBinding, TicketClaims, WriteBinding
from ppml_ops.datasets.manifest import Manifest


def written_by(claims: TicketClaims) -> tuple[WriteBinding, ...]:
    """What a ticket lets its job write; the first data set also gets the sealed log."""
    return tuple(binding for binding in claims.datasets if isinstance(binding, WriteBinding))


def read_by(claims: TicketClaims) -> tuple[ReadBinding, ...]:
    """What a ticket lets its job read."""
    return tuple(binding for binding in claims.datasets if isinstance(binding, ReadBinding))


def keeps_promise(manifest: Manifest, promised: WriteBinding) -> bool:
    """The manifest is what the ticket allows to be written; an older result, of anybody's, is not.

    `previous` may differ: a job that writes several times publishes several versions, each after the other.
    """
    document = manifest.document()
    return manifest.version >= promised.version and all(
        document.get(name) == value for name, value in promised.manifest.items() if name != "previous"
    )

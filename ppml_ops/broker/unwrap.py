"""Open the data key of one data set of a ticket by the keys that this broker has."""

from dataclasses import dataclass, field

from ppml_ops.broker.state import BrokerState
from ppml_ops.broker.tickets import ReadBinding, WriteBinding
from ppml_ops.errors import DeniedError, PpmlError
from ppml_ops.keys.local import LocalKeyService
from ppml_ops.keys.model import KeyRef


@dataclass(frozen=True)
class Opened:
    """A data key, and the primary key version that opened it."""

    data_key: bytes = field(repr=False)
    key: str


def unwrap_binding(state: BrokerState, binding: ReadBinding | WriteBinding) -> Opened:
    """The data key of `binding`, by the first of its wraps that opens here.

    Raises:
        DeniedError: no wrap is for a key of this broker, or its key version was destroyed.
        IntegrityError, ConfigError: the wraps that are for this broker don't open; the first one's error.
    """
    failed: PpmlError | None = None
    for wrapped in binding.wraps:
        service = _service(state, wrapped.ref)
        if service is None:
            continue
        try:
            return Opened(service.unwrap(wrapped, binding.dataset), wrapped.key)
        except PpmlError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    raise DeniedError(
        f"no wrapped key of data set {binding.dataset} is for this broker; it has keys of: "
        + ", ".join(sorted({wrapped.ref.scheme for wrapped in binding.wraps})),
        next_step="wrap the data key by a key of this broker (broker:…), or let it use the local: folder",
    )


def _service(state: BrokerState, ref: KeyRef) -> LocalKeyService | None:
    if ref.scheme == "broker":
        return state.keystore  # another broker's key fails to open: wrapping is authenticated
    if ref.scheme == "local" and state.local_folder is not None:
        here = ("", f"{state.local_folder}/")
        return state.local_keys if ref.location in here else None
    return None

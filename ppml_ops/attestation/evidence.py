"""What a TEE shows about itself, and where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from ppml_ops.attestation.claims import Tee
from ppml_ops.attestation.errors import ReportDataError
from ppml_ops.attestation.layout import REPORT_DATA_BYTES, parse_layout
from ppml_ops.errors import ConfigError


@dataclass(frozen=True)
class Evidence:
    """A quote (padding allowed) and the event log of the TD that made it. Tee "none" has neither."""

    tee: Tee
    quote: bytes
    event_log: bytes | None = None


class EvidenceProvider(Protocol):
    """The device that makes quotes, as seen from inside the TEE."""

    def quote(self, report_data: bytes) -> Evidence:
        """Evidence that carries these 64 bytes.

        Raises:
            AppraisalError: the device refused, or gave something else than was asked.
            EvidenceUnavailableError: the device is away or busy.
        """
        ...


class NoTeeProvider:
    """A machine without a TEE: evidence that says so, and that only a policy for `tee: none` accepts."""

    def quote(self, report_data: bytes) -> Evidence:
        """UNATTESTED; `report_data` goes nowhere."""
        check_report_data(report_data)
        return Evidence("none", b"")


def provider_for(device: Mapping[str, Any]) -> EvidenceProvider:
    """The provider for the `device` member of agent.json: kind `socket`, `tsm` or `none`.

    Raises:
        ConfigError: unknown kind, or members that the kind does not have.
    """
    from ppml_ops.attestation.socket_device import SocketProvider
    from ppml_ops.attestation.tsm import TsmConfigfsProvider

    match dict(device):
        case {"kind": "socket", "path": str(path), **rest} if path and not rest:
            return SocketProvider(Path(path))
        case {"kind": "tsm", "root": str(root), **rest} if root and not rest:
            return TsmConfigfsProvider(Path(root))
        case {"kind": "none", **rest} if not rest:
            return NoTeeProvider()
    raise ConfigError(
        "the evidence device is not described as socket (path), tsm (root) or none",
        next_step="correct `device` in the agent's configuration",
    )


def check_report_data(report_data: bytes) -> None:
    """Refuse anything but 64 bytes: devices pad or cut silently."""
    if len(report_data) != REPORT_DATA_BYTES:
        raise ReportDataError(f"report data must have {REPORT_DATA_BYTES} bytes, not {len(report_data)}")


def checked_evidence(
    tee: Literal["tdx", "sgx"], quote: bytes, event_log: bytes | None, asked: bytes
) -> Evidence:
    """Evidence of which the quote was looked at once: right kind, right report data.

    This is no verification; it finds a wrong device (or a race for one) on the side that can name it.

    Raises:
        UndecodableQuoteError, ReportDataError
    """
    layout = parse_layout(quote)
    if layout.tee != tee or layout.report_data != asked:
        raise ReportDataError("the device gave a quote that does not answer this request")
    return Evidence(tee, layout.quote, event_log)

"""Quotes from a device socket: one JSON line asks, one JSON line answers (what simulated platforms speak)."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ppml_ops.attestation.errors import EvidenceTransportError, EvidenceUnavailableError, printable
from ppml_ops.attestation.evidence import Evidence, check_report_data, checked_evidence
from ppml_ops.attestation.unix_socket import request_line
from ppml_ops.canonical import b64d, b64e

MAX_LINE_BYTES = 64 * 1024
TIMEOUT_SECONDS = 30.0


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    ok: bool
    quote: str | None = None
    event_log: str | None = None
    error: str | None = None


class SocketProvider:
    """A TD's device socket at `path`."""

    def __init__(self, path: Path, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._path = path
        self._timeout = timeout

    def quote(self, report_data: bytes) -> Evidence:
        """A TDX quote with its event log; see `EvidenceProvider`."""
        check_report_data(report_data)
        answer = self._ask({"op": "quote", "report_data": b64e(report_data)})
        if not answer.ok or answer.quote is None:
            raise EvidenceTransportError(
                f"the TEE platform refused to make a quote: {printable(answer.error or 'no reason given')}"
            )
        try:
            quote = b64d(answer.quote)
            event_log = b64d(answer.event_log) if answer.event_log is not None else None
        except ValueError as error:
            raise EvidenceTransportError("the TEE platform's answer is not base64") from error
        return checked_evidence("tdx", quote, event_log, report_data)

    def _ask(self, request: dict[str, str]) -> _Answer:
        try:
            line = request_line(
                self._path, json.dumps(request).encode(), limit=MAX_LINE_BYTES, timeout=self._timeout
            )
            return _Answer.model_validate_json(line)
        except OSError as error:
            raise EvidenceUnavailableError(
                f"the TEE platform's socket does not answer ({error.strerror or type(error).__name__})",
                who="the operator of the TEE platform",
                next_step="start the platform service, then begin a new generation of the job",
            ) from error
        except (ValidationError, ValueError) as error:
            raise EvidenceTransportError("the TEE platform's answer can't be understood") from error

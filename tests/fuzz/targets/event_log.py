"""The event log beside a good TDX quote."""

from contextlib import suppress

from ppml_ops.attestation.measure import JOB_IMR, parse_event_log, replay
from ppml_ops.errors import PpmlError


def run(data: bytes) -> None:
    """Parse and replay."""
    with suppress(PpmlError):
        replay(parse_event_log(data), JOB_IMR)

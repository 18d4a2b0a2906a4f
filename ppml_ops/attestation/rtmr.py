"""RTMR3 of the TD this process runs in: extended once by the measured launcher, with a log of what went in.

Source: kernel 6.16, Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest. RTMR2 and RTMR3 belong to
software; a write of 48 bytes extends, nothing ever takes an extension back.
"""

from collections.abc import Sequence
from pathlib import Path

from ppml_ops.attestation.errors import EventLogError
from ppml_ops.attestation.measure import (
    JOB_IMR,
    MAX_EVENT_LOG_BYTES,
    RTMR_START,
    Event,
    encode_event_log,
    parse_event_log,
    replay,
)
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir, write_private

RTMR3_FILE = "sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384"
EVENT_LOG_FILE = "run/ppml-ops/event-log.json"
"""In memory (tmpfs): the log must vanish with the TD, as its RTMRs do."""


class RuntimeMeasurements:
    """RTMR3 and its log under `root` (`/` but in tests)."""

    def __init__(self, root: Path) -> None:
        self._rtmr3 = root / RTMR3_FILE
        self._log = root / EVENT_LOG_FILE

    def extend(self, events: Sequence[Event]) -> None:
        """Extend RTMR3 by `events`, once per TD; doing the same again changes nothing.

        The log is written first: a crash in between leaves a log that does not replay, and evidence that is
        refused, instead of a measurement that nobody can explain.

        Raises:
            ConfigError: the kernel offers no RTMR3 to write to, or an event is for another RTMR.
            EventLogError: RTMR3 already holds something else.
        """
        if any(event.imr != JOB_IMR for event in events):
            raise ConfigError("only RTMR3 is ours to extend", next_step="give events with imr 3")
        held = self._read()
        if held == replay(events, JOB_IMR):
            return
        if held != RTMR_START:
            raise EventLogError(
                "RTMR3 of this TD was extended before, by something else",
                next_step="start a new TD: one TD runs one job",
            )
        private_dir(self._log.parent)
        write_private(self._log, encode_event_log(events))
        for event in events:
            self._write(bytes.fromhex(event.digest))
        if self._read() != replay(events, JOB_IMR):
            raise EventLogError("RTMR3 does not hold what was extended", next_step="start a new TD")

    def event_log(self) -> bytes | None:
        """The log as written by `extend`; None if there is none.

        Raises:
            EventLogError: the file is no event log.
        """
        try:
            with self._log.open("rb") as file:
                data = file.read(MAX_EVENT_LOG_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EventLogError(f"the event log can't be read ({error.strerror})") from error
        parse_event_log(data)
        return data

    def _read(self) -> bytes:
        try:
            value = self._rtmr3.read_bytes()
        except OSError as error:
            raise _no_rtmr(error) from error
        if len(value) != len(RTMR_START):
            raise EventLogError("the kernel's RTMR3 file has an unexpected length")
        return value

    def _write(self, digest: bytes) -> None:
        try:
            with self._rtmr3.open("r+b", buffering=0) as file:
                file.write(digest)
        except OSError as error:
            raise _no_rtmr(error) from error


def _no_rtmr(error: OSError) -> ConfigError:
    return ConfigError(
        f"this kernel offers no RTMR3 to read and extend ({error.strerror})",
        who="the operator of the TEE platform",
        next_step="use a TD with kernel 6.16 or later, and run the launcher with permission to extend RTMR3",
    )

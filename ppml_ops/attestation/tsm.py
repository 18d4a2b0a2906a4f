"""TDX quotes through Linux configfs-tsm (kernel 6.7 and later).

Source: kernel, Documentation/ABI/testing/configfs-tsm-report, and drivers/virt/coco/tdx-guest. Two traps shape
this module: the value of `inblob` is taken at *close* and configfs drops that step's error, so that only
`generation` tells whether it was taken; and entries are shared, so that only `generation` tells whether
somebody else wrote.
"""

import errno
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ppml_ops.attestation.errors import EvidenceTransportError, EvidenceUnavailableError
from ppml_ops.attestation.evidence import Evidence, check_report_data, checked_evidence
from ppml_ops.attestation.layout import MAX_QUOTE_BYTES
from ppml_ops.attestation.rtmr import RuntimeMeasurements
from ppml_ops.errors import ConfigError

REPORT_DIR = "sys/kernel/config/tsm/report"
PROVIDER = b"tdx_guest\n"
WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.2
_SMALL_FILE = 4096
_RETRY = {errno.EBUSY, errno.EINTR, errno.ETIMEDOUT, errno.EAGAIN}


class FileOps(Protocol):
    """The few file operations that the provider needs; tests put a faithful fake here."""

    def mkdir(self, path: Path) -> None:
        """Make one folder; FileExistsError if it is there."""

    def rmdir(self, path: Path) -> None:
        """Remove an entry."""

    def read(self, path: Path, limit: int) -> bytes:
        """The whole file, at most `limit` bytes."""

    def write(self, path: Path, data: bytes) -> None:
        """`data` in a single write, then close."""


class SystemFileOps:
    """`FileOps` on the real file system."""

    def mkdir(self, path: Path) -> None:
        """See `FileOps`."""
        path.mkdir(mode=0o700)

    def rmdir(self, path: Path) -> None:
        """See `FileOps`."""
        path.rmdir()

    def read(self, path: Path, limit: int) -> bytes:
        """See `FileOps`; one byte more than `limit` is returned when the file is longer."""
        with path.open("rb") as file:
            return file.read(limit + 1)

    def write(self, path: Path, data: bytes) -> None:
        """See `FileOps`."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.EIO, "short write")
        finally:
            os.close(descriptor)


class TsmConfigfsProvider:
    """Quotes of the TD this process runs in.

    Args:
        root: where the machine's file system lies; `/` but in tests.
        files, clock, sleep: injected in tests.
        wait: seconds after which a busy device is given up.
    """

    def __init__(
        self,
        root: Path,
        *,
        files: FileOps | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wait: float = WAIT_SECONDS,
    ) -> None:
        self._reports = root / REPORT_DIR
        self._measurements = RuntimeMeasurements(root)
        self._files = files or SystemFileOps()
        self._clock = clock
        self._sleep = sleep
        self._wait = wait

    def quote(self, report_data: bytes) -> Evidence:
        """A TDX quote, with the event log that the launcher wrote, if any; see `EvidenceProvider`.

        Raises:
            ConfigError: no configfs-tsm here, or another provider than TDX.
        """
        check_report_data(report_data)
        entry = self._reports / f"ppml-ops-{secrets.token_hex(16)}"
        try:
            self._files.mkdir(entry)
        except OSError as error:
            raise _no_tsm(error) from error
        try:
            quote = self._quote(entry, report_data)
        except OSError as error:
            raise _failed(error) from error
        finally:
            with suppress(OSError):
                self._files.rmdir(entry)
        return checked_evidence("tdx", quote, self._measurements.event_log(), report_data)

    def _quote(self, entry: Path, report_data: bytes) -> bytes:
        provider = self._files.read(entry / "provider", _SMALL_FILE)
        if provider != PROVIDER:
            raise ConfigError(
                f"configfs-tsm is served by {provider[:32]!r}, not by TDX",
                next_step="use the evidence device of this platform",
            )
        before = self._generation(entry)
        self._files.write(entry / "inblob", report_data)
        if self._generation(entry) != before + 1:
            raise EvidenceTransportError("the device did not take the report data, or somebody else wrote too")
        quote = self._read_patiently(entry / "outblob")
        if self._generation(entry) != before + 1:
            raise EvidenceTransportError("somebody else wrote to our entry while the quote was made")
        return quote

    def _read_patiently(self, path: Path) -> bytes:
        deadline = self._clock() + self._wait
        while True:
            try:
                return self._files.read(path, MAX_QUOTE_BYTES)
            except OSError as error:
                if error.errno not in _RETRY or self._clock() >= deadline:
                    raise
            self._sleep(PAUSE_SECONDS)

    def _generation(self, entry: Path) -> int:
        text = self._files.read(entry / "generation", _SMALL_FILE)
        if not text.strip().isdigit():
            raise EvidenceTransportError("the device's generation is not a number")
        return int(text)


def _no_tsm(error: OSError) -> ConfigError:
    return ConfigError(
        f"this machine offers no TDX quotes through configfs-tsm ({error.strerror})",
        who="the operator of the TEE platform",
        next_step="run in a TD with kernel 6.7 or later, configfs mounted, tdx_guest loaded",
    )


def _failed(error: OSError) -> EvidenceTransportError | EvidenceUnavailableError:
    what = f"the TDX device failed ({error.strerror or error.errno})"
    if error.errno in _RETRY:
        return EvidenceUnavailableError(
            what, who="the operator of the TEE platform", next_step="retry; check the quote service of the host"
        )
    return EvidenceTransportError(what)

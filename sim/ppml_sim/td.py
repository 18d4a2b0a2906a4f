"""One simulated TD: what it measured at launch, and quotes for those who run in it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ppml_ops.attestation.measure import JOB_IMR, Event, encode_event_log, job_events, replay
from ppml_ops.errors import ConfigError, DeniedError
from ppml_sim.peers import Process, descends_from
from ppml_sim.pki import Pki
from ppml_sim.quote import TdMeasurements, tdx_quote

MAX_JOB_BYTES = 1 << 20


def reference_values() -> dict[str, str]:
    """What every TD of this simulator has in its boot-time registers, as an owner's policy lists it (hex)."""
    names = ("mr_td", "rtmr0", "rtmr1", "rtmr2")
    return {name: hashlib.sha384(f"ppml-sim/v1/{name}".encode()).hexdigest() for name in names}


@dataclass(frozen=True)
class Td:
    """A TD of one generation. It lives in the platform's memory only."""

    id: str
    generation: str
    job: Path
    code: Path
    owner: Process
    """The process that created it; only this one and its descendants are "inside"."""
    events: tuple[Event, ...]

    def quote(self, pki: Pki, report_data: bytes, asker: Process | None) -> tuple[bytes, bytes]:
        """Quote and event log for somebody inside.

        Raises:
            DeniedError: the asker is not inside, or runner, job or code are not what was measured at launch.
        """
        if not descends_from(asker, self.owner):
            raise _denied("the asking process does not run in this TD")
        if measure(self.job, self.code) != self.events:
            raise _denied("runner, job or code changed since this TD was created")
        values = {name: bytes.fromhex(value) for name, value in reference_values().items()}
        td = TdMeasurements(**values, rtmr3=replay(self.events, JOB_IMR))
        return tdx_quote(pki, td, report_data), encode_event_log(self.events)


def measure(job: Path, code: Path) -> tuple[Event, ...]:
    """The events of a TD that runs what lies at these paths now.

    Raises:
        ConfigError: job or code can't be read or measured.
    """
    try:
        with job.open("rb") as file:
            document = file.read(MAX_JOB_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the job document can't be read ({error.strerror})", next_step="give the path of job.json"
        ) from error
    return tuple(job_events(document, code))


def _denied(what: str) -> DeniedError:
    return DeniedError(
        what, who="the author of the workload", next_step="begin a new generation and run it unchanged"
    )

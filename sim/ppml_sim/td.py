"""One simulated TD: what it measured at launch, and quotes for those who run in it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ppml_ops.attestation.measure import JOB_IMR, Event, encode_event_log, replay
from ppml_ops.errors import DeniedError
from ppml_sim.container import measure_as_seen
from ppml_sim.peers import Process, descends_from
from ppml_sim.pki import Pki
from ppml_sim.quote import TdMeasurements, tdx_quote


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
        if measure_as_seen(self.owner, self.job, self.code) != self.events:
            raise _denied("runner, job or code changed since this TD was created")
        values = {name: bytes.fromhex(value) for name, value in reference_values().items()}
        td = TdMeasurements(**values, rtmr3=replay(self.events, JOB_IMR))
        return tdx_quote(pki, td, report_data), encode_event_log(self.events)


def _denied(what: str) -> DeniedError:
    return DeniedError(
        what, who="the author of the workload", next_step="begin a new generation and run it unchanged"
    )

"""Real quotes, and simulated platforms in any state."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.attestation.appraise import appraise
from ppml_ops.attestation.claims import Claims
from ppml_ops.attestation.collateral import Collateral
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.measure import JOB_EVENT, JOB_IMR, RUNNER_EVENT, Event, encode_event_log, replay
from ppml_ops.attestation.trust import TrustDomain
from ppml_sim.collateral import make_collateral
from ppml_sim.faults import NONE, Faults
from ppml_sim.pki import Pki, make_pki
from ppml_sim.quote import EnclaveMeasurements, TdMeasurements, sgx_quote, tdx_quote

QUOTES = Path(__file__).parents[2] / "data" / "quotes"
NOW = 1_790_000_000
REPORT_DATA = bytes(range(64))
EVENTS = [
    Event(imr=JOB_IMR, event=RUNNER_EVENT, digest="aa" * 48),
    Event(imr=JOB_IMR, event=JOB_EVENT, digest="bb" * 48),
]
TD = TdMeasurements(
    mr_td=b"\x01" * 48, rtmr0=b"\x02" * 48, rtmr1=b"\x03" * 48, rtmr2=b"\x04" * 48, rtmr3=replay(EVENTS, 3)
)
ENCLAVE = EnclaveMeasurements(mr_enclave=b"\x05" * 32, mr_signer=b"\x06" * 32, isv_prod_id=7, isv_svn=3)


@dataclass(frozen=True)
class World:
    """A simulated platform in some state, and whoever appraises it."""

    pki: Pki
    faults: Faults = NONE
    tee: Any = "tdx"
    now: int = NOW

    @property
    def domain(self) -> TrustDomain:
        return TrustDomain(self.pki.root_der)

    @property
    def collateral(self) -> Collateral:
        return make_collateral(self.pki, self.now, tee=self.tee, faults=self.faults)

    def evidence(self, report_data: bytes = REPORT_DATA, td: TdMeasurements = TD) -> Evidence:
        if self.tee == "sgx":
            return Evidence("sgx", sgx_quote(self.pki, ENCLAVE, report_data, self.faults))
        return Evidence("tdx", tdx_quote(self.pki, td, report_data, self.faults), encode_event_log(EVENTS))

    def appraise(self, evidence: Evidence | None = None, **changes: Any) -> Claims:
        arguments = {"report_data": REPORT_DATA, "now": self.now, "domain": self.domain} | changes
        collateral = arguments.pop("collateral", None) or self.collateral
        return appraise(evidence or self.evidence(), collateral, **arguments)


def make_world(faults: Faults = NONE, *, tee: str = "tdx", seed: bytes = bytes(32)) -> World:
    return World(make_pki(seed, faults), faults, tee)


@dataclass(frozen=True)
class Vector:
    """One entry of vectors.json with its files."""

    entry: dict[str, Any]

    @property
    def quote(self) -> bytes:
        return (QUOTES / self.entry["quote"]).read_bytes()

    @property
    def collateral(self) -> Collateral:
        return Collateral.load(QUOTES / self.entry["collateral"])

    @property
    def report_data(self) -> bytes:
        return bytes.fromhex(self.entry["report"]["report_data"])

    def appraise(self, quote: bytes | None = None, **changes: Any) -> Claims:
        arguments = {
            "collateral": self.collateral,
            "report_data": self.report_data,
            "now": self.entry["now"],
            "domain": TrustDomain.intel(),
        } | changes
        evidence = Evidence(self.entry["tee"], self.quote if quote is None else quote)
        return appraise(evidence, arguments.pop("collateral"), **arguments)


def _vectors() -> dict[str, Vector]:
    return {entry["name"]: Vector(entry) for entry in json.loads((QUOTES / "vectors.json").read_bytes())}


@pytest.fixture(scope="session")
def vectors() -> dict[str, Vector]:
    """All entries of vectors.json by name."""
    return _vectors()


@pytest.fixture(scope="session")
def quotes() -> Path:
    """The folder of real quotes."""
    return QUOTES


@pytest.fixture(scope="session")
def world() -> World:
    """A healthy simulated TDX platform."""
    return make_world()


@pytest.fixture(scope="session")
def worlds() -> Any:
    """Builds simulated platforms: worlds(faults, tee=…, seed=…)."""
    return make_world


@pytest.fixture
def relabel() -> Any:
    """Changes fields of frozen dataclasses and models alike."""
    return lambda item, **changes: (
        replace(item, **changes) if hasattr(item, "__dataclass_fields__") else item.model_copy(update=changes)
    )


@pytest.fixture
def benchmark_seconds() -> Any:
    """The median of five runs; bounds on it are generous, they catch wrong orders of magnitude."""

    def measure(action: Any) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            action()
            times.append(time.perf_counter() - start)
        return sorted(times)[2]

    return measure

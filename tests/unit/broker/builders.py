"""A simulated TDX platform in memory, an owner, and a broker's stores: what broker tests are made of."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import OKPKey
from starlette.testclient import TestClient

from ppml_ops.attestation.collateral import Collateral
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.measure import JOB_EVENT, JOB_IMR, RUNNER_EVENT, Event, encode_event_log, replay
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.broker import jwe
from ppml_ops.broker.app import create_app
from ppml_ops.broker.bundle import KeyBundle
from ppml_ops.broker.jose import public_jwk, public_key
from ppml_ops.broker.rcar import kbs_v0_4 as kbs
from ppml_ops.broker.rcar.client import attestation, ephemeral
from ppml_ops.broker.state import BrokerState
from ppml_ops.broker.tickets import TicketClaims, sign_ticket
from ppml_ops.keys import KeyRef, WrappedKey, new_data_key
from ppml_sim.collateral import make_collateral
from ppml_sim.pki import Pki, make_pki
from ppml_sim.quote import EnclaveMeasurements, TdMeasurements, sgx_quote, tdx_quote

NOW = 1_790_000_000
TOKEN = "owner-token-of-the-tests"
RUNNER = "aa" * 48
JOB = "bb" * 48
JTI = "0123456789abcdef" * 2
REGISTERS = {"mr_td": "01" * 48, "rtmr0": "02" * 48, "rtmr1": "03" * 48, "rtmr2": "04" * 48}
ENCLAVE = EnclaveMeasurements(mr_enclave=b"\x05" * 32, mr_signer=b"\x06" * 32, isv_prod_id=7, isv_svn=3)


def policy_yaml(dataset: str, **rule: Any) -> str:
    """A policy with one rule that lets the simulated TD of these tests in; `rule` replaces members."""
    measurements = {name: [value] for name, value in REGISTERS.items()} | {"runner": [RUNNER]}
    release = {
        "purpose": ["simple-query"],
        "tee": ["tdx"],
        "simulated": True,
        "measurements": measurements,
    } | rule
    release = {name: value for name, value in release.items() if value is not None}
    return json.dumps({"dataset": dataset, "release": [release]})


NO_TEE = {"tee": ["none"], "measurements": None}


@dataclass
class Clock:
    """Unix seconds that tests turn."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass(frozen=True)
class TdProvider:
    """A TD that runs a job: quotes as the device would make them."""

    pki: Pki
    job: str = JOB
    runner: str = RUNNER
    registers: dict[str, str] = field(default_factory=lambda: REGISTERS)

    def quote(self, report_data: bytes) -> Evidence:
        events = [
            Event(imr=JOB_IMR, event=RUNNER_EVENT, digest=self.runner),
            Event(imr=JOB_IMR, event=JOB_EVENT, digest=self.job),
        ]
        values = {name: bytes.fromhex(value) for name, value in self.registers.items()}
        td = TdMeasurements(**values, rtmr3=replay(events, JOB_IMR))
        return Evidence("tdx", tdx_quote(self.pki, td, report_data), encode_event_log(events))


@dataclass(frozen=True)
class EnclaveProvider:
    """An SGX enclave."""

    pki: Pki

    def quote(self, report_data: bytes) -> Evidence:
        return Evidence("sgx", sgx_quote(self.pki, ENCLAVE, report_data))


class Platform:
    """A simulated platform, healthy at `NOW`."""

    def __init__(self, seed: bytes = bytes(32), now: int = NOW) -> None:
        self.pki = make_pki(seed)
        self.domain = TrustDomain(self.pki.root_der)
        self._bundles = {tee: make_collateral(self.pki, now, tee=tee) for tee in ("tdx", "sgx")}

    def collateral(self, quote: bytes) -> Collateral:
        return self._bundles["tdx" if int.from_bytes(quote[4:8], "little") == 0x81 else "sgx"]


def ticket_claims(issuer: OKPKey, domain: str, **changes: Any) -> dict[str, Any]:
    """Claims of a ticket for reading sim-people, valid at NOW; `changes` replaces members."""
    return {
        "jti": JTI,
        "iss": issuer.thumbprint(),
        "aud": domain,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
        "run_key": "simple-query-20261120-0123456789ab",
        "job_digest": JOB,
        "purpose": "simple-query",
        "recipients": [],
        "max_activations": 8,
        "datasets": [],
    } | changes


def read_binding(dataset: str, wraps: list[WrappedKey], **changes: Any) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "mode": "read",
        "version": 1,
        "manifest_digest": "cd" * 32,
        "data_key_id": "ef" * 16,
        "wraps": [wrap.model_dump() for wrap in wraps],
    } | changes


def write_binding(dataset: str, domain: str, wraps: list[WrappedKey]) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "mode": "write",
        "version": 2,
        "data_key_id": "ab" * 16,
        "wraps": [wrap.model_dump() for wrap in wraps],
        "manifest": {"dataset": dataset, "data_key_id": "ab" * 16, "trust_domain": domain},
    }


class World:
    """One broker in memory, over HTTP without a network, with an owner and a released data set."""

    def __init__(self, folder: Path, *, local_keys: Path | None = None) -> None:
        self.folder = folder
        self.platform = Platform()
        self.domain = self.platform.domain
        self.clock = Clock()
        self.local_keys = local_keys
        self.owner = OKPKey.generate_key("Ed25519")
        self.data_key = new_data_key()
        self.open()
        self.state.owners.register(public_jwk(self.owner))
        self.state.policies.put("sim-people", policy_yaml("sim-people"))
        self.people = self.state.keystore.create(KeyRef.parse("broker:people"))

    def open(self) -> None:
        """(Re)start the broker on its folder."""
        self.state = BrokerState.open(self.folder, self.domain, self.clock, local_keys=self.local_keys)
        app = create_app(self.state, find_collateral=self.platform.collateral, token=TOKEN, clock=self.clock)
        self.http = TestClient(app, base_url="https://broker", raise_server_exceptions=False)

    def wrap(self, dataset: str = "sim-people", key: bytes | None = None) -> WrappedKey:
        return self.state.keystore.wrap(self.people.unversioned(), key or self.data_key, dataset)

    def ticket(self, owner: OKPKey | None = None, **changes: Any) -> str:
        signer = owner or self.owner
        changes.setdefault("datasets", [read_binding("sim-people", [self.wrap()])])
        claims = ticket_claims(signer, self.domain.id, **changes)
        return sign_ticket(TicketClaims.model_validate_json(json.dumps(claims)), signer)

    def td(self, **changes: Any) -> TdProvider:
        return TdProvider(self.platform.pki, **changes)

    def auth(self, ticket: str | None, tee: str = "tdx", **changes: Any) -> Any:
        extra = {} if ticket is None else {"job-ticket": ticket, "generation": "g1"}
        self.http.cookies.clear()
        return self.http.post(
            "/kbs/v0/auth", json={"version": "0.4.0", "tee": tee, "extra-params": extra} | changes
        )

    def attest(
        self, nonce: str, provider: Any, changes: dict[str, Any] | None = None
    ) -> tuple[Any, ec.EllipticCurvePrivateKey]:
        private, runtime = ephemeral(nonce)
        body = attestation(runtime, provider.quote(kbs.report_data(runtime))) | (changes or {})
        return self.http.post("/kbs/v0/attest", json=body), private

    def handshake(
        self, ticket: str | None, provider: Any = None, tee: str = "tdx"
    ) -> ec.EllipticCurvePrivateKey:
        """Challenge and attestation that must succeed."""
        challenge = self.auth(ticket, tee)
        assert challenge.status_code == 200, challenge.text
        reply, private = self.attest(challenge.json()["nonce"], provider or self.td())
        assert reply.status_code == 200, reply.text
        return private

    def fetch(self, path: str = f"ppml/keybundle/{JTI}") -> Any:
        return self.http.get(f"/kbs/v0/resource/{path}")

    def release(self, ticket: str | None = None, provider: Any = None, tee: str = "tdx") -> KeyBundle:
        """A whole release that must succeed."""
        private = self.handshake(ticket or self.ticket(), provider, tee)
        reply = self.fetch()
        assert reply.status_code == 200, reply.text
        return self.open_bundle(reply.json(), private)

    def refusal(self, ticket: str | None = None, provider: Any = None, tee: str = "tdx") -> str:
        """Detail of the first 401 on the way to a bundle; it must come, in the KBS shape."""
        challenge = self.auth(ticket or self.ticket(), tee)
        reply = challenge
        if challenge.status_code == 200:
            reply, _ = self.attest(challenge.json()["nonce"], provider or self.td())
        if reply.status_code == 200:
            reply = self.fetch()
        assert reply.status_code == 401, reply.text
        assert reply.json()["type"].startswith("https://github.com/confidential-containers/kbs/errors/")
        assert set(reply.json()) == {"type", "detail"}
        return str(reply.json()["detail"])

    def open_bundle(self, envelope: dict[str, str], private: ec.EllipticCurvePrivateKey) -> KeyBundle:
        key = public_key(self.http.get("/ppml/v1/info").json()["broker_key"])
        return KeyBundle.verify(jwe.decrypt(envelope, private), key)

    def owner_call(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        return self.http.request(
            method, f"/ppml/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"}
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        """Bodies of the audit records of one event."""
        lines = (self.folder / "audit.jsonl").read_bytes().splitlines()
        bodies = [json.loads(line)["body"] for line in lines]
        return [body for body in bodies if body["event"] == name]

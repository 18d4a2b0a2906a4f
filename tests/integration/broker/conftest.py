"""A real broker process over TLS, and a real simulated platform beside it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from ppml_ops.attestation.evidence import EvidenceProvider, provider_for
from ppml_ops.attestation.measure import measured_job_digest, runner_digest
from ppml_ops.attestation.unix_socket import request_line
from ppml_ops.broker.client import BrokerClient
from ppml_ops.broker.jose import public_jwk
from ppml_ops.broker.tickets import TicketClaims, owner_key, sign_ticket
from ppml_ops.keys import KeyRef, key_service_for, new_data_key
from ppml_ops.keys.broker import read_endpoint, read_token
from ppml_sim.platform import Platform

_SERVE = """
import logging, sys
from pathlib import Path
from ppml_ops.broker.serve import serve
from ppml_ops.errors import PpmlError
logging.basicConfig(level=logging.INFO)
home = Path(sys.argv[1])
try:
    serve(home, home / "sim/root.der", home / "sim/collateral.json", local_keys=home / "keys")
except PpmlError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


class BrokerProcess:
    """A broker that runs as its own process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()

    def start(self) -> None:
        self.log = (self.home / "broker.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(self.home)], stdout=self.log, stderr=self.log
        )
        deadline = time.monotonic() + 30
        while not (self.home / "broker" / "endpoint.json").exists():
            assert self.process.poll() is None, (self.home / "broker.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.log.close()
        return code

    def client(self) -> BrokerClient:
        """A client with the owner's token."""
        folder = self.home / "broker"
        url, ca = read_endpoint(folder)
        return BrokerClient(url, ca, token=read_token(folder / "owner.token"))


@dataclass
class Site:
    """Platform, broker, owner, and one job with a sealed data set's key."""

    home: Path
    platform: Platform
    broker: BrokerProcess
    owner: OKPKey
    data_key: bytes

    @property
    def code(self) -> Path:
        return self.home / "simple_query.py"

    @property
    def job(self) -> Path:
        return self.home / "job.json"

    def td(self, generation: str) -> EvidenceProvider:
        """A TD that runs the job; this process is inside it."""
        request = {"op": "create_td", "generation": generation, "job": str(self.job), "code": str(self.code)}
        platform = self.home / "sim" / "platform.sock"
        answer = json.loads(request_line(platform, json.dumps(request).encode(), limit=65536, timeout=10))
        assert answer["ok"], answer
        return provider_for({"kind": "socket", "path": str(platform.parent / answer["socket"])})

    def ticket(self, jti: str = "5" * 32, **changes: Any) -> str:
        now = int(time.time())
        service = key_service_for("broker:", home=self.home)
        wrapped = service.wrap(KeyRef.parse("broker:people"), self.data_key, "sim-people")
        claims = {
            "jti": jti,
            "iss": self.owner.thumbprint(),
            "aud": self.platform.trust_domain,
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "run_key": "simple-query-20261120-0123456789ab",
            "job_digest": measured_job_digest(self.job.read_bytes(), self.code),
            "purpose": "simple-query",
            "recipients": [self.owner.thumbprint()],
            "max_activations": 8,
            "datasets": [
                {
                    "dataset": "sim-people",
                    "mode": "read",
                    "version": 1,
                    "manifest_digest": "cd" * 32,
                    "data_key_id": "ef" * 16,
                    "wraps": [wrapped.model_dump()],
                }
            ],
        } | changes
        return sign_ticket(TicketClaims.model_validate_json(json.dumps(claims)), self.owner)


def policy(home: Path) -> str:
    """The owner's policy for sim-people from the platform's reference values."""
    values = json.loads((home / "sim" / "reference_values.json").read_bytes())
    measurements = {name: [value] for name, value in values.items()} | {"runner": [runner_digest()]}
    rule = {"purpose": ["simple-query"], "tee": ["tdx"], "simulated": True, "measurements": measurements}
    return json.dumps({"dataset": "sim-people", "release": [rule]})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything running, for all tests of a module."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    platform = Platform(home)
    broker = BrokerProcess(home)
    try:
        owner = owner_key(home / "owner" / "ticket-key.json")
        (home / "simple_query.py").write_text("print('a job')\n")
        (home / "job.json").write_text(json.dumps({"name": "simple-query", "code": {"digest": ""}}))
        client = broker.client()
        client.register_owner(public_jwk(owner))
        client.put_policy("sim-people", policy(home))
        service = key_service_for("broker:", home=home)
        service.create(KeyRef.parse("broker:people"))
        yield Site(home, platform, broker, owner, new_data_key())
    finally:
        if broker.process.poll() is None:
            os.kill(broker.process.pid, signal.SIGTERM)
            broker.process.wait(20)
        platform.close()

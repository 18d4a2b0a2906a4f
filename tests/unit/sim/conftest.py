"""A simulated platform in this process, and as a service of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.attestation.unix_socket import request_line
from ppml_ops.canonical import canonical_json
from ppml_sim import service
from ppml_sim.platform import Platform


def ask(path: Path | str, **request: Any) -> dict[str, Any]:
    """One request to a socket of the platform."""
    return json.loads(request_line(Path(path), json.dumps(request).encode(), limit=1 << 16, timeout=10))


@dataclass(frozen=True)
class Job:
    """A job document and its code."""

    job: Path
    code: Path

    def create(self, home: Path, generation: str = "run-g1") -> dict[str, Any]:
        path = home / "sim" / "platform.sock"
        made = ask(path, op="create_td", generation=generation, job=str(self.job), code=str(self.code))
        return made | {"socket": str(path.parent / made["socket"])} if made["ok"] else made


def make_job(folder: Path) -> Job:
    code = folder / "main.py"
    code.write_text("print(1)\n")
    job = folder / "job.json"
    job.write_bytes(canonical_json({"ppml": "spark-job/1", "code": {"main": "main.py", "digest": "0" * 64}}))
    return Job(job, code)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A small job."""
    return make_job(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state folder."""
    return tmp_path / "home"


@pytest.fixture
def platform(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A platform served by threads of this process; its runner stays the same while sources are edited."""
    monkeypatch.setattr("ppml_ops.attestation.measure.runner_digest", lambda: "a" * 96)
    running = Platform(home)
    yield running
    running.close()


class Service:
    """`ppml-sim serve --foreground` in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ppml_sim", "serve", "--home", str(home), "--foreground"],
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 20
        while service.status(home) is None and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(timeout=20)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


@pytest.fixture
def serve(home: Path) -> Any:
    """Starts services; those left running are stopped."""
    started: list[Service] = []

    def start(folder: Path = home) -> Service:
        started.append(Service(folder))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def asking() -> Any:
    """The function `ask`."""
    return ask

"""The platform service: TDs, who may ask for quotes, and what survives what."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ppml_ops.attestation.appraise import appraise
from ppml_ops.attestation.collateral import Collateral
from ppml_ops.attestation.errors import EvidenceTransportError, EvidenceUnavailableError, UntrustedChainError
from ppml_ops.attestation.evidence import provider_for
from ppml_ops.attestation.measure import measured_job_digest, runner_digest
from ppml_ops.attestation.socket_device import SocketProvider
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.canonical import b64e
from ppml_sim import service
from ppml_sim.platform import REFRESH_SECONDS, Platform

ASKED = bytes(range(64))
ASK = """
import sys
from pathlib import Path
from ppml_ops.attestation.socket_device import SocketProvider
from ppml_ops.errors import PpmlError
try:
    SocketProvider(Path(sys.argv[1])).quote(bytes(64))
except PpmlError as error:
    sys.exit(str(error))
"""
CREATE = """
import json, sys
from pathlib import Path
from ppml_ops.attestation.unix_socket import request_line
request = json.dumps(dict(op="create_td", generation="run-g1", job=sys.argv[2], code=sys.argv[3])).encode()
print(request_line(Path(sys.argv[1]), request, limit=1 << 16, timeout=10).decode(), flush=True)
sys.stdin.read()
"""


def test_end_to_end_with_a_real_service(serve, home, job):
    """A service of its own, a TD, a quote, and its appraisal with nothing but the state files."""
    service_process = serve()
    created = job.create(home)
    assert created["ok"] and set(created) == {"ok", "td", "socket"}
    evidence = provider_for({"kind": "socket", "path": created["socket"]}).quote(ASKED)
    state = home / "sim"
    domain = TrustDomain((state / "root.der").read_bytes())
    collateral = Collateral.load(state / "collateral.json")
    claims = appraise(evidence, collateral, report_data=ASKED, now=int(time.time()), domain=domain)
    assert claims.simulated and claims.tcb_status == "UpToDate"
    assert claims.runner_digest == runner_digest()
    assert claims.job_digest == measured_job_digest(job.job.read_bytes(), job.code)
    values = json.loads((state / "reference_values.json").read_bytes())
    assert values == {name: getattr(claims, name) for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2")}
    status = service.status(home)
    assert status == {"ok": True, "trust_domain": domain.id, "simulated": True}
    with pytest.raises(UntrustedChainError):
        appraise(evidence, collateral, report_data=ASKED, now=int(time.time()), domain=TrustDomain.intel())
    assert service_process.stop() == 0
    for name in ("platform.sock", "endpoint.json"):
        assert not (state / name).exists()
    assert list((state / "td").iterdir()) == []


def test_state_is_private(platform, home):
    state = home / "sim"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for name in ("seed", "root.der", "collateral.json", "platform.sock"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600, name


def test_descendants_may_ask(platform, home, job):
    path = job.create(home)["socket"]
    result = subprocess.run([sys.executable, "-c", ASK, path], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_unrelated_process_is_refused(platform, home, job, asking):
    """A TD that a child made is not ours: the parent is no descendant of the child."""
    command = [sys.executable, "-c", CREATE, str(platform.socket), str(job.job), str(job.code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as creator:
        assert '"ok": true' in creator.stdout.readline()
        path = next((home / "sim" / "td").glob("*.sock"))
        with pytest.raises(EvidenceTransportError, match="does not run in this TD"):
            SocketProvider(path).quote(ASKED)
        assert "belongs to another process" in job.create(home)["error"]
        refused = asking(platform.socket, op="destroy_td", td=path.stem)
        assert "belongs to another process" in refused["error"]
        creator.stdin.close()
        assert creator.wait(timeout=10) == 0
    with pytest.raises(EvidenceTransportError, match="does not run in this TD"):
        SocketProvider(path).quote(ASKED)
    assert job.create(home)["ok"], "the TD of a dead process can be taken over"
    assert SocketProvider(path).quote(ASKED).tee == "tdx"


def test_another_user_is_refused(platform, home, job, monkeypatch):
    path = job.create(home)["socket"]
    monkeypatch.setattr(os, "getuid", lambda: -1)
    with pytest.raises(EvidenceTransportError, match="only the user"):
        SocketProvider(Path(path)).quote(ASKED)


@pytest.mark.parametrize("what", ["code", "job"])
def test_changes_after_launch_are_refused(platform, home, job, what):
    provider = SocketProvider(Path(job.create(home)["socket"]))
    assert provider.quote(ASKED).tee == "tdx"
    path = getattr(job, what)
    before = path.read_bytes()
    path.write_bytes(before.replace(b"main.py", b"evil.py").replace(b"print", b"steal"))
    with pytest.raises(EvidenceTransportError, match="changed"):
        provider.quote(ASKED)
    assert "changed" in job.create(home)["error"]
    path.unlink()
    with pytest.raises(EvidenceTransportError):
        provider.quote(ASKED)
    path.write_bytes(before)
    assert provider.quote(ASKED).tee == "tdx"


def test_a_changed_runner_is_refused(platform, home, job, monkeypatch):
    provider = SocketProvider(Path(job.create(home)["socket"]))
    monkeypatch.setattr("ppml_ops.attestation.measure.runner_digest", lambda: "0" * 96)
    with pytest.raises(EvidenceTransportError, match="changed"):
        provider.quote(ASKED)


def test_changed_code_gives_another_measurement(platform, home, job):
    logs = set()
    for number in range(2):
        job.code.write_text(f"print({number})\n")
        logs.add(SocketProvider(Path(job.create(home, f"g{number}")["socket"])).quote(ASKED).event_log)
    assert len(logs) == 2


def test_one_td_per_generation(platform, home, job, asking):
    first, again, other = job.create(home), job.create(home), job.create(home, "run-g2")
    assert first == again and first["td"] != other["td"]
    assert asking(platform.socket, op="destroy_td", td=first["td"]) == {"ok": True}
    assert asking(platform.socket, op="destroy_td", td=first["td"]) == {"ok": True}
    with pytest.raises(EvidenceUnavailableError):
        SocketProvider(Path(first["socket"])).quote(ASKED)
    assert SocketProvider(Path(other["socket"])).quote(ASKED).tee == "tdx"
    assert job.create(home) == first


def made_by_a_child(platform, job):
    """A TD of generation run-g1 whose creator has ended, and has not been waited for."""
    command = [sys.executable, "-c", CREATE, str(platform.socket), str(job.job), str(job.code)]
    creator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert '"ok": true' in creator.stdout.readline()
    creator.kill()
    os.waitid(os.P_PID, creator.pid, os.WEXITED | os.WNOWAIT)
    return creator


def test_a_td_ends_with_its_creator_also_for_another_job(platform, home, job):
    with made_by_a_child(platform, job):
        job.code.write_text("print('changed')\n")
        made = job.create(home)
    assert made["ok"], made
    assert SocketProvider(Path(made["socket"])).quote(ASKED).tee == "tdx"


def test_limit_of_tds_counts_the_living(platform, home, job, monkeypatch):
    monkeypatch.setattr("ppml_sim.platform.MAX_TDS", 1)
    with made_by_a_child(platform, job):
        assert job.create(home, "g2")["ok"]
    assert "TDs already" in job.create(home, "g3")["error"]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"op": "root"},
        {"op": "quote", "report_data": b64e(ASKED)},
        {"op": "status", "more": 1},
        {"op": "create_td", "generation": "../x", "job": "/j", "code": "/c"},
        {"op": "create_td", "generation": "", "job": "/j", "code": "/c"},
        {"op": "create_td", "generation": "g", "job": "job.json", "code": "/c"},
        {"op": "create_td", "generation": "g", "job": "/nowhere/job.json", "code": "/c"},
        {"op": "create_td", "generation": "g", "job": "/dev/zero", "code": "/c"},
        {"op": "create_td", "generation": "g", "job": "/etc/hostname", "code": "/dev/zero"},
        {"op": "destroy_td"},
    ],
)
def test_refused_requests(platform, asking, request_):
    answer = asking(platform.socket, **request_)
    assert answer["ok"] is False and answer["error"]


@pytest.mark.parametrize("data", ["", "x", b64e(bytes(63)), b64e(bytes(65)), "*" * 88])
def test_refused_report_data(platform, home, job, asking, data):
    assert asking(job.create(home)["socket"], op="quote", report_data=data)["ok"] is False


@pytest.mark.parametrize("line", [b"", b"junk", b"\xff\xfe", b"[" * 60_000, b"x" * 70_000])
def test_refused_lines(platform, line):
    from ppml_ops.attestation.unix_socket import request_line

    with suppress(OSError, ValueError):  # a line too long to be read may also end the connection
        assert b'"ok": false' in request_line(platform.socket, line, limit=1 << 16, timeout=10)
    assert service.status(platform.socket.parents[1]) is not None


def test_restart_keeps_the_trust_domain_and_loses_tds(serve, home, job):
    first = serve()
    created = job.create(home)
    root = (home / "sim" / "root.der").read_bytes()
    assert first.stop(signal.SIGKILL) != 0, "sockets stay behind"
    second = serve()
    assert (home / "sim" / "root.der").read_bytes() == root
    with pytest.raises(EvidenceUnavailableError):
        SocketProvider(Path(created["socket"])).quote(ASKED)
    assert job.create(home) == created
    assert SocketProvider(Path(created["socket"])).quote(ASKED).tee == "tdx"
    assert second.stop() == 0


def test_one_instance_per_home(serve, home):
    first = serve()
    second = serve()
    assert second.process.wait(timeout=20) == 78
    assert service.status(home) is not None
    assert first.stop() == 0
    assert service.status(home) is None


def test_homes_are_different_domains(tmp_path):
    domains = set()
    for name in "ab":
        platform = Platform(tmp_path / name)
        domains.add(platform.trust_domain)
        platform.close()
    assert len(domains) == 2


def test_background_start_attaches(home):
    found = service.start(home)
    path = home / "sim" / "endpoint.json"
    while not path.exists():  # it answers a moment before it has written where
        time.sleep(0.02)
    endpoint = json.loads(path.read_bytes())
    try:
        assert service.start(home) == found and found["simulated"] is True
        assert endpoint["socket"] == str(home / "sim" / "platform.sock")
    finally:
        os.kill(endpoint["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 10
    while (home / "sim" / "platform.sock").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert service.status(home) is None


def test_collateral_is_refreshed_long_before_it_ends(home):
    now = [1_790_000_000.0]
    platform = Platform(home, clock=lambda: now[0])
    try:
        path = home / "sim" / "collateral.json"
        first = Collateral.load(path).facts()
        assert first.issued <= now[0] and first.expires - now[0] > 20 * 86400
        platform.refresh()
        assert Collateral.load(path).facts() == first
        for step in (REFRESH_SECONDS + 1, -10 * 86400):  # also when the clock was set back
            now[0] += step
            platform.refresh()
            assert 0 <= now[0] - Collateral.load(path).facts().issued < 3600
    finally:
        platform.close()


def test_damaged_seed(home):
    (home / "sim").mkdir(parents=True)
    (home / "sim" / "seed").write_bytes(b"short")
    from ppml_ops.errors import ConfigError

    with pytest.raises(ConfigError, match="seed"):
        Platform(home)


def test_deep_home(tmp_path, job):
    home = tmp_path / ("d" * 100) / ("e" * 100)
    platform = Platform(home)
    try:
        assert SocketProvider(Path(job.create(home)["socket"])).quote(ASKED).tee == "tdx"
    finally:
        platform.close()


def test_cli_status_without_a_service(home):
    result = subprocess.run(
        [sys.executable, "-m", "ppml_sim", "status", "--home", str(home)], capture_output=True, text=True
    )
    assert result.returncode == 1 and "ppml-sim serve" in result.stderr


def test_many_quotes_at_once(platform, home, job):
    from concurrent.futures import ThreadPoolExecutor

    provider = SocketProvider(Path(job.create(home)["socket"]))
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda n: provider.quote(bytes([n]) * 64), range(32)))) == 32

"""Peers with other files at the same paths: a container, here a mount namespace of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

import ppml_ops
from ppml_ops.attestation.measure import measured_job_digest, parse_event_log, runner_digest
from ppml_ops.canonical import b64d
from ppml_ops.errors import ConfigError
from ppml_sim.container import environment_of
from ppml_sim.platform import Platform

#: In a mount namespace of its own: puts a folder over another one, drops root, then obeys one line at a time.
PEER = """
import json, os, socket, subprocess, sys
over, at, sockets = sys.argv[1:4]
subprocess.run(["mount", "--bind", over, at], check=True)
os.setgroups([4711]); os.setresgid(185, 185, 185); os.setresuid(185, 185, 185)
for line in sys.stdin:
    request = json.loads(line)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.path.join(sockets, request.pop("to")))
        client.sendall(json.dumps(request).encode() + b"\\n")
        print(client.makefile().readline().strip(), flush=True)
"""


def _may_unshare() -> bool:
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "x", "/mnt"]).returncode == 0
    )


pytestmark = pytest.mark.skipif(not _may_unshare(), reason="needs root and mount namespaces")


@pytest.fixture
def open_path():
    """A folder that other users may enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def outside(open_path):
    """A platform that serves everyone through a folder of sockets."""
    running = Platform(open_path / "home", sockets=open_path / "run", everyone=True)
    yield running
    running.close()


@pytest.fixture
def container(open_path):
    """Folder `at` as it is outside, folder `over` as the peer sees it there: job, code and an installation."""
    at, over = open_path / "at", open_path / "over"
    at.mkdir()
    packages = over / "venv/lib/python3.11/site-packages"
    shutil.copytree(
        Path(ppml_ops.__file__).parent, packages / "ppml_ops", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(Path(sys.prefix) / "share", over / "venv/share")
    for name in ("venv/bin", "empty/bin"):
        (over / name).mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), over / "venv/bin/python3")
    (over / "empty/bin/python3").hardlink_to(over / "venv/bin/python3")
    (over / "main.py").write_text("print(1)\n")
    (over / "job.json").write_text(json.dumps({"ppml": "spark-job/1", "code": {"digest": "0" * 64}}))
    subprocess.run(["chmod", "-R", "a+rX", over], check=True)
    return at, over


class _Peer:
    def __init__(self, process, at):
        self._process, self._at = process, at

    def ask(self, to, **request):
        self._process.stdin.write(json.dumps({"to": to, **request}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def create(self, generation="g1", job="job.json", code="main.py"):
        paths = {"job": str(self._at / job), "code": str(self._at / code)}
        return self.ask("platform.sock", op="create_td", generation=generation, **paths)

    def quote(self, made):
        return self.ask(made["socket"], op="quote", report_data="A" * 86 + "==")


@contextmanager
def peer(container, python=None):
    at, over = container
    python = python or at / "venv/bin/python3"
    start = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c"]
    into = "import os, sys; os.execv(sys.argv[1], sys.argv[2:])"
    real = str(over / "venv/bin/python3")
    command = [*start, into, real, str(python), "-c", PEER, str(over), str(at), str(at.parent / "run")]
    environment = dict(os.environ, PYTHONHOME=sys.base_prefix)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield _Peer(process, at)
        process.stdin.close()


def test_measured_is_what_the_peer_sees(outside, container):
    at, over = container
    with peer(container) as asker:
        made = asker.create()
        assert made["ok"], made
        answer = asker.quote(made)
        runner, job = (event.digest for event in parse_event_log(b64d(answer["event_log"])))
        assert runner == runner_digest()
        assert job == measured_job_digest((over / "job.json").read_bytes(), over / "main.py")
        (over / "main.py").write_text("print(2)\n")
        assert "changed" in asker.quote(made)["error"]
        (over / "main.py").write_text("print(1)\n")
        (over / "venv/lib/python3.11/site-packages/ppml_ops/errors.py").write_text("")
        assert "changed" in asker.quote(made)["error"]
    assert not list(at.iterdir()), "nothing of all this lies there for the platform"


def test_another_container_is_refused(outside, container):
    with peer(container) as one, peer(container) as other:
        made = one.create()
        assert "does not run in this TD" in other.quote(made)["error"]
        assert "belongs to another process" in other.create()["error"]
        assert other.create("g2")["ok"]


def test_links_lead_where_they_lead_for_the_peer(outside, container):
    """An absolute link does not reach the platform's own files."""
    at, over = container
    (over / "link.py").symlink_to(at / "main.py")
    (over / "secret").symlink_to(outside.socket.parent.parent / "home/sim/seed")
    with peer(container) as asker:
        assert asker.create("g1", code="link.py")["ok"]
        assert not asker.create("g2", code="secret")["ok"]


def test_a_pipe_in_the_place_of_the_job_stalls_nobody(outside, container):
    _at, over = container
    os.mkfifo(over / "pipe", 0o644)
    (over / "link.json").symlink_to("job.json")
    with peer(container) as asker:
        assert "is no regular file" in asker.create("g1", job="pipe")["error"]
        assert asker.create("g2", job="link.json")["ok"]


def test_an_interpreter_that_does_not_run_is_refused(outside, container):
    """argv[0] must be the file that the kernel executes, in an environment with the product."""
    at, over = container
    (over / "venv/bin/other").write_text("")
    for python in (at / "venv/bin/other", "python3", "/usr/bin/true"):
        with peer(container, python) as asker:
            assert "is not the interpreter that runs" in asker.create()["error"]
    with peer(container, at / "empty/bin/python3") as asker:
        assert "no ppml_ops installed" in asker.create()["error"]


def test_paths_with_parents_name_no_environment(tmp_path):
    with pytest.raises(ConfigError):
        environment_of(f"{tmp_path}/../{tmp_path.name}/bin/python3", tmp_path.stat())


def test_the_home_is_never_shown(tmp_path):
    with pytest.raises(ConfigError, match="home folder"):
        Platform(tmp_path, everyone=True)


def test_machines_of_one_platform_share_a_seed(tmp_path):
    first = Platform(tmp_path / "a")
    second = Platform(tmp_path / "b", seed_file=tmp_path / "a/sim/seed")
    assert first.trust_domain == second.trust_domain and not (tmp_path / "b/sim/seed").exists()
    first.close()
    second.close()
    with pytest.raises(ConfigError, match="can't be read"):
        Platform(tmp_path / "c", seed_file=tmp_path / "none")

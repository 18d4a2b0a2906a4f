"""Who descends from whom."""

import os
import subprocess
import sys

import pytest

from ppml_sim import peers
from ppml_sim.peers import Process, descends_from


def process(pid):
    return Process(pid, peers._stat(pid)[1])


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield process(running.pid)
        running.stdin.close()


def test_self_and_ancestors(child):
    here, parent = process(os.getpid()), process(os.getppid())
    assert descends_from(here, here) and descends_from(child, here) and descends_from(child, parent)
    assert not descends_from(here, child) and not descends_from(parent, here)


def test_same_pid_but_another_process(child):
    """Pids are used again: the start time must agree too."""
    here = process(os.getpid())
    assert not descends_from(child, Process(here.pid, here.started + 1))
    assert not Process(here.pid, here.started + 1).alive and here.alive


def test_processes_that_are_gone():
    assert not descends_from(None, process(os.getpid()))
    assert not descends_from(Process(0, 0), process(os.getpid()))
    assert not Process(1 << 22, 0).alive


def test_names_with_brackets(tmp_path):
    """A process may call itself "x) 1 1 1": the fields start after the last bracket."""
    code = "import ctypes; ctypes.CDLL(None).prctl(15, b'x) 1 (2 3', 0, 0, 0); print('ok', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        running.stdout.readline()
        assert descends_from(process(running.pid), process(os.getpid()))
        running.stdin.close()

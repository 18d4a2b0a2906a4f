"""A part of the machinery dies (SIGKILL) while the job starts, runs or has just ended; submit is tried again.

Counted from the outside: never two drivers at a time, one Spark application for each generation, one result.
"""

import os
import signal
import threading
import time
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.cli.services import ensure_services
from ppml_ops.errors import PpmlError
from ppml_ops.lifecycle.generations import generations
from ppml_ops.spark.running import APPLICATION, EXIT, PROCESS
from ppml_ops.workloads import path_of
from tests.support.life_cycle import LifeCycle
from tests.support.people import answer
from tests.support.processes import BROKER, DRIVER, PLATFORM, SUPERVISOR, kill, running, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.long]

#: SimpleQuery that waits for a file before it begins, so that a test decides how long it runs.
WAITING = """
import pathlib, runpy, sys, time
while not pathlib.Path({gate!r}).exists():
    time.sleep(0.05)
runpy.run_path({script!r}, run_name="__main__")
"""
VICTIMS = {
    "task": (),
    "driver": (DRIVER,),
    "supervisor": (SUPERVISOR,),
    "broker": (BROKER,),
    "platform": (PLATFORM,),
    "everything": (SUPERVISOR, DRIVER, BROKER, PLATFORM),
}
MOMENTS = ("starting", "running", "ended")


class Task:
    """The task `submit` in a process of its own, as Airflow's workers run it."""

    def __init__(self, life: LifeCycle) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                life.stage("submit")
            except PpmlError:
                os._exit(1)
            except BaseException:  # noqa: BLE001  # a forked child must not return into pytest
                os._exit(2)
            os._exit(0)

    def end(self) -> int:
        """Exit code; -9 when it was killed."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Watch(threading.Thread):
    """How many drivers ran at a time, at most."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home, self.most, self.over = home, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            self.most = max(self.most, len(running(self.home, DRIVER)))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victim", VICTIMS)
def test_one_of_the_parts_dies(home: Path, day: date, tmp_path: Path, victim: str, moment: str) -> None:
    gate, script = tmp_path / "gate", tmp_path / "waiting.py"
    script.write_text(WAITING.format(gate=str(gate), script=str(path_of("simple_query.py"))))
    life = LifeCycle(home, day, name=f"{victim} {moment}", application=script).to("attest")
    watch = Watch(home)
    watch.start()
    first = life.run.folder / "g1"
    if moment == "ended":
        gate.touch()
    task = Task(life)
    wait_for((first / {"starting": PROCESS, "running": APPLICATION, "ended": EXIT}[moment]).exists, moment)
    if moment == "starting":
        time.sleep(0.5)  # somewhere between interpreter start, release and spark-submit
    struck = kill(home, *(one for one in VICTIMS[victim] if one in (DRIVER, SUPERVISOR)))
    kill(home, *(one for one in VICTIMS[victim] if one in (BROKER, PLATFORM)))
    if victim in ("task", "everything"):
        os.kill(task.pid, signal.SIGKILL)
    gate.touch()
    code = task.end()
    assert code in (0, 1, -9), "it failed by an exception that is not one of ours"
    ensure_services(home)

    receipt = life.finish()
    watch.over.set()
    watch.join()
    assert receipt.problems == ()
    assert watch.most == 1
    assert life.results.versions() == [1]
    assert life.result_rows() == answer(life.input_rows(tmp_path / "in"))
    assert not running(home, DRIVER) + running(home, SUPERVISOR)
    numbers = [generation.number for generation in generations(life.run)]
    if victim in ("broker", "platform") and moment == "starting":
        assert numbers in ([1], [1, 2]), "it may have met the gap or not"
    else:
        assert numbers == ([1, 2] if struck and moment != "ended" else [1])
    # The driver attests twice a generation (entry point and plugin); a dead generation may have done so once.
    assert len(life.audit("release")) <= 2 * len(numbers)
    strangers = life.results.strangers(life.results.read())
    assert strangers == []

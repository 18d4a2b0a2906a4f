"""The launcher around a stand-in for the entry point: following, ending, adopting, judging."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, DeniedError, TransientError, WorkloadError
from ppml_ops.spark import launcher as launcher_module
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.launcher import LocalLauncher
from ppml_ops.spark.placement import (
    Base,
    Binding,
    NoDevice,
    Placement,
    PlatformDevice,
    TsmDevice,
    device_of,
)
from ppml_ops.spark.profiles import load_profile
from ppml_ops.spark.running import Running

from .builders import job, placement

PROFILE = load_profile("local-no-tee").model_copy(update={"stop_grace": 1.0})
JOB = job(profile="local-no-tee")


class Stand:
    """Launches `program` in the place of the entry point; `folder` is the generation's."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        self.folder = tmp_path / "g1"
        self.output = tmp_path / "out"
        code = tmp_path / "simple_query.py"
        code.write_text("print(1)\n")
        base = Base(node="node-a", uri=self.output.as_uri())
        self.placement: Placement = placement(
            folder=str(self.folder),
            code=str(code),
            bindings=(Binding(dataset="people", bases=(base,)), Binding(dataset="result", bases=(base,))),
        )
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(launcher_module, "build_jar", lambda: None)
        monkeypatch.setattr(launcher_module, "installed_tools", lambda: None)

    def launcher(self, **changes: object) -> LocalLauncher:
        return LocalLauncher(PROFILE.model_copy(update=changes), on_line=self.lines.append)

    def launch(self, program: str, **changes: object) -> Running:
        def start(_self: LocalLauncher, folder: Path) -> subprocess.Popen[bytes]:
            with (folder / "lifecycle.log").open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, "-uc", program], cwd=folder, stdout=log, stderr=log, start_new_session=True
                )

        self._monkeypatch.setattr(LocalLauncher, "_start", start)
        return self.launcher(**changes).launch(JOB, self.placement)

    def publish(self, version: int = 2) -> None:
        (self.output / "_manifest").mkdir(parents=True)
        (self.output / "_manifest" / f"{version}.json").write_text("{}")


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(tmp_path, monkeypatch)


def exits(code: int, *lines: str) -> str:
    said = "".join(f"print({line!r});" for line in lines)
    return f"{said}import sys; open('exit.json','w').write('{{\"exit_code\": {code}}}'); sys.exit({code})"


def test_success_is_exit_0_and_the_expected_manifest(stand: Stand) -> None:
    stand.publish()
    outcome = stand.launch(exits(0, "Spark 4.3.0 is starting", "exit code 0")).wait()
    assert outcome.exit_code == 0
    assert outcome.lines == tuple(stand.lines) == ("Spark 4.3.0 is starting", "exit code 0")
    assert not (stand.folder / "code").exists()


def test_exit_0_with_another_version_is_a_failure(stand: Stand) -> None:
    stand.publish(version=1)
    with pytest.raises(WorkloadError, match="published no version 2 of data set result"):
        stand.launch(exits(0)).wait()


def test_what_lies_in_the_folder_for_the_tee(stand: Stand) -> None:
    stand.publish()
    keep = "import shutil; shutil.copytree('code', 'copy');"
    stand.launch(keep + exits(0)).wait()
    assert SparkJob.model_validate_json((stand.folder / "job.json").read_bytes()) == JOB
    assert (stand.folder / "copy" / "simple_query.py").read_text() == "print(1)\n"
    agent = json.loads((stand.folder / "agent.json").read_bytes())
    assert agent["code"] == str(stand.folder / "code" / "simple_query.py")
    assert agent["device"] == {"kind": "none"}
    assert agent["tee"] == "none"
    assert (stand.folder.stat().st_mode & 0o777) == 0o700


def test_the_entry_point_is_told_of_the_platform_and_asks_it_itself() -> None:
    assert device_of("socket", "/run/platform.sock") == PlatformDevice(path="/run/platform.sock")
    assert device_of("tsm", "/run/platform.sock") == TsmDevice()
    assert device_of("none", "/run/platform.sock") == NoDevice()


def test_bytecode_that_lay_in_the_work_folder_is_gone(stand: Stand) -> None:
    stand.publish()
    (stand.folder / "work/pycache").mkdir(parents=True)
    stand.launch("import os; assert os.listdir('work') == [];" + exits(0)).wait()


def test_a_refusal_keeps_class_reason_and_next_step(stand: Stand) -> None:
    line = "PPML-DENIED: tee is none, wanted tdx [the data owner: allow tee: none in the policy]"
    with pytest.raises(DeniedError, match="tee is none, wanted tdx") as caught:
        stand.launch(exits(77, line, "exit code 77")).wait()
    assert caught.value.next_step == "allow tee: none in the policy"


def test_a_failed_workload_shows_classes_and_where_to_read_more(stand: Stand) -> None:
    with pytest.raises(WorkloadError, match=r"failed with ValueError \(exit code 70\)") as caught:
        stand.launch(exits(70, "error class ValueError", "exit code 70")).wait()
    assert "ppml-ops data logs RUN" in caught.value.next_step


def test_a_killed_entry_point_is_transient(stand: Stand) -> None:
    running = stand.launch("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(TransientError, match="without an exit record"):
        running.wait()
    assert running.outcome is not None
    assert running.outcome.exit_code is None


SLEEPS = (
    "import subprocess, time, signal; signal.signal(15, signal.SIG_IGN);"
    "subprocess.Popen(['sleep', '60'], start_new_session=True); time.sleep(60)"
)


def test_stop_ends_everything_within_its_bounds(stand: Stand) -> None:
    running = stand.launch(SLEEPS)
    while len(running.record.tree()) < 2:
        time.sleep(0.02)
    tree = running.record.tree()
    start = time.monotonic()
    running.stop()
    with pytest.raises(WorkloadError, match="ended on request"):
        running.wait()
    assert time.monotonic() - start < 15
    assert not any(Path(f"/proc/{pid}/cmdline").exists() and _lives(pid) for pid in tree)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_time_limit(stand: Stand) -> None:
    running = stand.launch("import time; time.sleep(60)", time_limit=1)
    with pytest.raises(WorkloadError, match="longer than its limit of 1 s"):
        running.wait()


def test_another_process_can_adopt_a_living_generation(stand: Stand) -> None:
    stand.publish()
    first = stand.launch("print('one'); import time; time.sleep(1.5); print('two');" + exits(0))
    stand.lines.clear()
    outcome = stand.launcher().attach(JOB, stand.placement).wait()
    assert outcome.lines == ("one", "two")
    assert first.wait().exit_code == 0


def test_a_generation_starts_once(stand: Stand) -> None:
    stand.publish()
    stand.launch(exits(0)).wait()
    with pytest.raises(ConfigError, match="was started before"):
        stand.launch(exits(0))


def test_no_variable_but_the_named_ones_is_handed_on() -> None:
    source = {
        "PATH": "/bin",
        "HOME": "/h",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PPML_OPS_HOME": "/s",
        "PYTHONPATH": "/p",
    }
    made = LocalLauncher(PROFILE, environment=source)
    assert made._environment == {"PATH": "/bin", "HOME": "/h", "LANG": "C.UTF-8"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"versions": {}}, "lacks a folder or version for result"),
        ({"bindings": placement().bindings[:1]}, "lacks a folder or version for result"),
        ({"code": "/no/such/file.py"}, "can't be copied"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_starts(
    stand: Stand, change: dict[str, object], message: str
) -> None:
    stand.placement = stand.placement.model_copy(update=change)
    with pytest.raises(ConfigError, match=message):
        stand.launch(exits(0))


def test_profile_of_job_and_launcher_must_agree(stand: Stand) -> None:
    with pytest.raises(ConfigError, match="the job is for profile 'local'"):
        stand.launcher().launch(job(), stand.placement)


def test_socket_devices_need_a_platform(stand: Stand) -> None:
    with pytest.raises(ConfigError, match="needs the simulated TEE platform"):
        LocalLauncher(load_profile("local")).launch(job(), stand.placement)

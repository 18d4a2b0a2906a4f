import json
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.errors import ConfigError, DeniedError, TransientError
from ppml_ops.spark import inside
from ppml_ops.spark.agent import BUNDLE_DIGEST, bundle_digest, read_config
from ppml_ops.spark.inside import Voice, Work, enter_td, keys_of, outputs
from ppml_ops.spark.placement import AgentConfig, Device, NoDevice, PlatformDevice, SocketDevice
from ppml_ops.spark.platform_client import TrustDomainVm
from ppml_ops.spark.profiles import load_profile

from .builders import job, placement


def work(folder: Path, device: Device) -> Work:
    placed = placement()
    config = AgentConfig(
        broker_url=placed.broker_url,
        broker_ca=placed.broker_ca,
        ticket=placed.ticket,
        job=str(folder / "job.json"),
        code=placed.code,
        device=device,
        tee="tdx",
        generation=placed.generation,
        bindings=placed.bindings,
    )
    return Work(config, job(), load_profile("local"), folder)


def test_the_td_is_made_by_this_process_and_handed_on_to_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Platform:
        def __init__(self, path: Path) -> None:
            self.path = path

        def create_td(self, generation: str, job_file: Path, code: Path) -> TrustDomainVm:
            asked.append((self.path, generation, job_file, code))
            return TrustDomainVm(ok=True, td="t1", socket="/s/t1.sock")

    monkeypatch.setattr(inside, "PlatformClient", Platform)
    entered = enter_td(work(tmp_path, PlatformDevice(path="/s/platform.sock")))
    config = entered.config
    assert asked == [(Path("/s/platform.sock"), config.generation, tmp_path / "job.json", Path(config.code))]
    assert config.device == SocketDevice(path="/s/t1.sock")
    assert read_config(tmp_path / "agent.json") == config
    assert json.loads((tmp_path / "td.json").read_bytes()) == {"td": "t1"}


def test_other_devices_are_there_already(tmp_path: Path) -> None:
    before = work(tmp_path, NoDevice())
    assert enter_td(before) is before
    assert list(tmp_path.iterdir()) == []


def test_a_platform_that_does_not_answer_is_transient(tmp_path: Path) -> None:
    with pytest.raises(TransientError):
        enter_td(work(tmp_path, PlatformDevice(path=str(tmp_path / "none.sock"))))


def test_the_line_that_tells_most_is_remembered(capfd: pytest.CaptureFixture[str]) -> None:
    say = Voice()
    for line in ("executor 1 started", "error class A", "error class B"):
        say(line)
    assert say.reason == "error class B"
    assert say.refusal(DeniedError("no", next_step="ask")) == 77
    say("error class C")
    assert say.reason == "PPML-DENIED: no [the data owner: ask]"
    assert capfd.readouterr().out.splitlines()[3] == say.reason


def test_the_first_written_data_set_needs_a_key(tmp_path: Path) -> None:
    class Bundle:
        def model_dump(self, mode: str) -> dict[str, Any]:
            return {
                "datasets": [{"dataset": "other", "mode": "write", "key": "AAAA", "version": 1, "manifest": {}}]
            }

    with pytest.raises(ConfigError, match="releases no key for writing 'result'"):
        outputs(work(tmp_path, NoDevice()), Bundle())  # type: ignore[arg-type]


def test_which_keys_came_is_left_for_the_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bundle:
        def model_dump(self, mode: str) -> dict[str, Any]:
            return {"release": "1", "ticket": "t"}

    released = Bundle()
    monkeypatch.setattr(inside, "release", lambda _config, _digest: released)
    assert keys_of(work(tmp_path, NoDevice())) is released
    left = tmp_path / BUNDLE_DIGEST
    assert left.read_text() == bundle_digest({"release": "2", "ticket": "t"})
    assert left.stat().st_mode & 0o777 == 0o600

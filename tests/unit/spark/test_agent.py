import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ppml_ops.attestation.measure import code_digest
from ppml_ops.broker.client import BrokerClient
from ppml_ops.errors import ConfigError, DeniedError, IntegrityError, TransientError
from ppml_ops.spark import agent
from ppml_ops.spark.job import CodeBundle, parse_job
from ppml_ops.spark.placement import AgentConfig, Binding, NoDevice

from .builders import job, placement

KEY = "A" * 43 + "="


def ticket_for(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


@pytest.fixture
def config(tmp_path: Path) -> AgentConfig:
    code = tmp_path / "simple_query.py"
    code.write_text("print(1)\n")
    signed = job(code=CodeBundle(main=code.name, digest=code_digest(code)))
    (tmp_path / "job.json").write_bytes(signed.canonical())
    (tmp_path / "ticket.jws").write_text(ticket_for({"job_digest": signed.job_digest}))
    made = AgentConfig(
        broker_url="https://127.0.0.1:1",
        broker_ca=str(tmp_path / "ca.pem"),
        ticket=str(tmp_path / "ticket.jws"),
        job=str(tmp_path / "job.json"),
        code=str(code),
        device=NoDevice(),
        tee="none",
        generation="r-g1",
        bindings=placement().bindings,
    )
    (tmp_path / "agent.json").write_bytes(made.encode())
    return made


def bundle(**changes: Any) -> dict[str, Any]:
    return {
        "ticket": "0" * 32,
        "trust_domain": "1" * 64,
        "simulated": True,
        "release": "2" * 64,
        "datasets": [
            {"dataset": "people", "mode": "read", "key": KEY, "version": 1,
             "manifest_digest": "3" * 64, "manifest": None},
            {"dataset": "result", "mode": "write", "key": KEY, "version": 2,
             "manifest_digest": None, "manifest": {"x": 1}},
        ],
    } | changes  # fmt: skip


def test_configuration_comes_back_as_written(config: AgentConfig, tmp_path: Path) -> None:
    assert agent.read_config(tmp_path / "agent.json") == config
    assert set(json.loads(config.encode())["device"]) == {"kind"}


def test_signed_code_and_job_pass(config: AgentConfig) -> None:
    agent.check_measurement(config, Path(config.ticket).read_text())


def test_changed_code_is_denied_with_both_digests(config: AgentConfig) -> None:
    Path(config.code).write_text("print(2)\n")
    with pytest.raises(
        DeniedError, match=r"is not what the ticket was signed for: ticket [0-9a-f]{96}, measured [0-9a-f]"
    ):
        agent.check_measurement(config, Path(config.ticket).read_text())


def test_changed_job_is_denied(config: AgentConfig) -> None:
    document = json.loads(Path(config.job).read_bytes()) | {"arguments": ["--min-age", "0"]}
    Path(config.job).write_text(json.dumps(document))
    with pytest.raises(DeniedError, match="is not what the ticket"):
        agent.check_measurement(config, Path(config.ticket).read_text())


def test_a_job_that_was_read_before_it_was_put_back_is_denied(config: AgentConfig) -> None:
    ticket = Path(config.ticket).read_text()
    agent.check_measurement(config, ticket, parse_job(Path(config.job).read_bytes()).job_digest)
    with pytest.raises(DeniedError, match="is not what the ticket was signed for"):
        agent.check_measurement(config, ticket, job().job_digest)


@pytest.mark.parametrize("ticket", ["", "a.b", "a.!!!.c", "e30.W10.c", "e30." + "W" * 20000 + ".c"])
def test_unreadable_tickets_are_denied(config: AgentConfig, ticket: str) -> None:
    with pytest.raises(DeniedError, match="not a compact JWS"):
        agent.check_measurement(config, ticket)


def test_a_broker_that_is_away_for_a_while_is_waited_for(
    config: AgentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [TransientError("away", next_step="wait")] * 3 + [DeniedError("no", next_step="ask")]
    asked: list[str] = []

    def answer(_client: BrokerClient, _ticket: str, _provider: object, generation: str, _tee: str) -> None:
        asked.append(generation)
        raise answers[len(asked) - 1]

    monkeypatch.setattr(BrokerClient, "release", answer)
    monkeypatch.setattr(agent, "PAUSE_SECONDS", 0)
    with pytest.raises(DeniedError, match="no"):
        agent.release(config)
    assert len(asked) == 4
    asked.clear()
    monkeypatch.setattr(agent, "PATIENCE_SECONDS", -1)
    with pytest.raises(TransientError, match="away"):
        agent.release(config)
    assert len(asked) == 1


def test_key_ring_joins_keys_with_folders(config: AgentConfig) -> None:
    ring = agent.key_ring(bundle(), config)
    assert {key: ring[key] for key in ("ppml", "trust_domain", "generation")} == {
        "ppml": "keyring/1", "trust_domain": "1" * 64, "generation": "r-g1",
    }  # fmt: skip
    assert ring["datasets"] == [
        {
            "dataset": "people", "mode": "read", "key": KEY,
            "bases": [{"node": "node-a", "uri": "file:///nodes/a/people"}],
            "manifest": {"version": 1, "digest": "3" * 64},
        },
        {
            "dataset": "result", "mode": "write", "key": KEY,
            "bases": [{"node": "node-a", "uri": "file:///nodes/a/result"}],
            "version": 2, "manifest": {"x": 1}, "spread": False,
        },
    ]  # fmt: skip


def test_a_spread_data_set_is_one_in_the_ring_too(config: AgentConfig) -> None:
    own = config.bindings[1].model_copy(update={"spread": True})
    ring = agent.key_ring(bundle(), config.model_copy(update={"bindings": (config.bindings[0], own)}))
    assert ring["datasets"][1]["spread"] is True


def test_a_spread_data_set_has_its_own_nodes_folder_only() -> None:
    bases = [{"node": node, "uri": f"file:///{node}"} for node in ("a", "b")]
    with pytest.raises(ValidationError, match="its own node's"):
        Binding.model_validate({"dataset": "result", "bases": bases, "spread": True})


def test_released_data_set_without_folder_is_a_configuration_error(config: AgentConfig) -> None:
    bare = config.model_copy(update={"bindings": config.bindings[:1]})
    with pytest.raises(ConfigError, match="'result'"):
        agent.key_ring(bundle(), bare)


class _Released:
    def model_dump(self, mode: str) -> dict[str, Any]:
        return bundle()


def test_key_ring_goes_to_stdout_as_one_document(
    config: AgentConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setattr(agent, "release", lambda _config: _Released())
    assert agent.main([str(tmp_path / "agent.json")]) == 0
    out, err = capfdbinary.readouterr()
    assert json.loads(out) == agent.key_ring(bundle(), config)
    assert err == b""


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (DeniedError("tee none", next_step="use a TEE"), 77, "tee none [the data owner: use a TEE]"),
        (IntegrityError("two\nlines", next_step="x"), 76, "two lines [the data owner: x]"),
        (ConnectionError(KEY), 75, "ConnectionError"),
        (RuntimeError(KEY), 78, "RuntimeError"),
    ],
)
def test_failures_are_one_line_and_a_code(
    config: AgentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    error: Exception, code: int, shown: str,
) -> None:  # fmt: skip
    def refuse(_config: AgentConfig) -> None:
        raise error

    monkeypatch.setattr(agent, "release", refuse)
    assert agent.main([str(tmp_path / "agent.json")]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert shown in err
    assert KEY not in err


def test_bad_configuration_and_usage_are_78(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "agent.json").write_text('{"broker_url": 7}')
    assert agent.main([str(tmp_path / "agent.json")]) == 78
    assert agent.main([str(tmp_path / "missing.json")]) == 78
    assert agent.main([]) == 78
    assert "begin a new generation" in capfd.readouterr().err


def test_keys_that_the_entry_point_did_not_get_are_denied(
    config: AgentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(agent, "release", lambda _config: _Released())
    seen = tmp_path / agent.BUNDLE_DIGEST
    seen.write_text(agent.bundle_digest(bundle(release="5" * 64)))
    assert agent.main([str(tmp_path / "agent.json")]) == 0
    assert json.loads(capfd.readouterr().out)["ppml"] == "keyring/1"
    seen.write_text(agent.bundle_digest(bundle(clear_logs=True)))
    assert agent.main([str(tmp_path / "agent.json")]) == 77
    out, err = capfd.readouterr()
    assert out == ""
    assert "two brokers answered" in err

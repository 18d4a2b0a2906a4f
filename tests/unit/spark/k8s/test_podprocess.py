import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from ppml_ops.errors import DeniedError
from ppml_ops.spark.inside import Voice
from ppml_ops.spark.k8s import podprocess


@pytest.fixture
def last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Main runs in this process, without its lasting effects; where its termination message goes."""
    file = tmp_path / "termination"
    monkeypatch.setattr(podprocess, "leave_message", lambda message: file.write_bytes(message))
    monkeypatch.setattr(podprocess, "harden", lambda: None)
    monkeypatch.setattr(podprocess, "FOLDER", tmp_path)
    for name in list(os.environ):
        monkeypatch.setenv(name, os.environ[name])
    return file


def test_a_refusal_is_told_in_both_places(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(_role: str, _environment: Mapping[str, str], _say: Voice) -> int:
        raise DeniedError("not in a TEE", next_step="use one")

    monkeypatch.setattr(podprocess, "run", run)
    assert podprocess.main("executor") == 77
    line = "PPML-DENIED: not in a TEE [the data owner: use one]"
    assert capfd.readouterr().out.splitlines() == [line, "exit code 77"]
    assert json.loads(last_words.read_bytes()) == {"exit_code": 77, "application_id": None, "line": line}


def test_what_a_good_end_leaves(last_words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_role: str, _environment: Mapping[str, str], say: Voice) -> int:
        say("error class java.lang.IllegalStateException")
        (tmp_path / "application.json").write_text('{"application_id": "spark-1"}')
        return 0

    monkeypatch.setattr(podprocess, "run", run)
    assert podprocess.main("driver") == 0
    assert json.loads(last_words.read_bytes()) == {"exit_code": 0, "application_id": "spark-1", "line": None}


def test_the_pods_environment_is_no_environment_of_ours(
    last_words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Mapping[str, str]] = {}

    def run(_role: str, environment: Mapping[str, str], _say: Voice) -> int:
        seen.update(given=environment, ours=dict(os.environ))
        return 0

    monkeypatch.setattr(podprocess, "run", run)
    monkeypatch.setenv("SSL_CERT_FILE", "/ppml/node/evil.pem")
    monkeypatch.setenv("JAVA_HOME", "/ppml/node/java")
    assert podprocess.main("driver") == 0
    assert seen["given"]["SSL_CERT_FILE"] == "/ppml/node/evil.pem"
    assert set(seen["ours"]) == {"JAVA_HOME", "LANG", "PATH"}
    assert seen["ours"]["JAVA_HOME"] == "/opt/java"


def of_document(tmp_path: Path, text: str) -> str | None:
    (tmp_path / "application.json").write_text(text)
    return podprocess.application_id("driver", {})


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("spark-1", "spark-1"),
        ("local-123", "local-123"),
        ("Ada Lovelace, 36", None),
        ("a" * 64, None),
        ("", None),
    ],
)
def test_only_what_looks_like_an_id_is_told(
    last_words: Path, tmp_path: Path, found: str, shown: str | None
) -> None:
    assert of_document(tmp_path, json.dumps({"application_id": found})) == shown
    assert podprocess.application_id("executor", {"SPARK_APPLICATION_ID": found}) == shown


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 4000, '{"application_id": 7}', '{"x": "%s", "application_id": "a"}' % ("y" * 4096)]
)
def test_other_documents_name_no_application(last_words: Path, tmp_path: Path, text: str) -> None:
    assert of_document(tmp_path, text) is None


def test_a_pipe_in_the_place_of_the_document_is_not_waited_for(last_words: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "application.json")
    assert podprocess.application_id("driver", {}) is None


def test_a_pod_with_a_disk_for_its_secrets_asks_for_no_key(
    last_words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounts").write_text("1 0 0:1 / /ppml/work rw - ext4 /dev/sda rw\n")
    monkeypatch.setattr(podprocess, "MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(podprocess, "arrive", lambda _environment: pytest.fail("it went on"))
    assert podprocess.main("executor") == 77
    assert "/ppml/work is not in memory" in json.loads(last_words.read_bytes())["line"]


@pytest.mark.parametrize("role", ["", "other"])
def test_other_roles_are_configuration_errors(last_words: Path, role: str) -> None:
    assert podprocess.main(role) == 78
    assert "driver, executor, node" in json.loads(last_words.read_bytes())["line"]


def test_a_pod_that_is_deleted_early_ends_at_once(last_words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_role: str, _environment: Mapping[str, str], _say: Voice) -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    monkeypatch.setattr(podprocess, "run", run)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert podprocess.main("driver") == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert json.loads(last_words.read_bytes()) == {"exit_code": 143, "application_id": None, "line": None}

"""What is measured, and that nothing can be smuggled past it."""

import hashlib
import json
import os

import pytest

from ppml_ops.attestation import measure
from ppml_ops.attestation.measure import (
    JOB_EVENT,
    RUNNER_EVENT,
    code_digest,
    encode_event_log,
    job_events,
    measured_job_digest,
    parse_event_log,
    replay,
    runner_digest,
)
from ppml_ops.canonical import canonical_json, sha384_hex
from ppml_ops.errors import ConfigError


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    (folder / "lib").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)\n")
    (folder / "lib" / "a.py").write_text("A = 1\n")
    return folder


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_file(code):
    assert code_digest(code / "main.py") == sha(b"print(1)\n")


def test_folder_format(code):
    lines = f"lib/a.py\0{sha(b'A = 1' + bytes([10]))}\nmain.py\0{sha(b'print(1)' + bytes([10]))}\n"
    assert code_digest(code) == sha(lines.encode())


def test_every_change_counts(code):
    seen = {code_digest(code)}
    for change in (
        lambda: (code / "main.py").write_text("print(2)\n"),
        lambda: (code / "main.py").rename(code / "main2.py"),
        lambda: (code / "extra.txt").write_text(""),
        lambda: (code / "__pycache__").mkdir() or (code / "__pycache__" / "a.pyc").write_bytes(b"x"),
        lambda: (code / "lib" / "a.py").unlink(),
    ):
        change()
        seen.add(code_digest(code))
    assert len(seen) == 6


def test_link_inside_counts_as_its_content(code):
    (code / "link.py").symlink_to("main.py")
    first = code_digest(code)
    (code / "link.py").unlink()
    (code / "link.py").write_text("print(1)\n")
    assert code_digest(code) == first


def outside(code):
    (code.parent / "secret").write_text("x")
    (code / "link").symlink_to("../secret")


def absolute(code):
    (code / "link").symlink_to("/etc/passwd")


def dangling(code):
    (code / "link").symlink_to("nowhere")


def loop(code):
    (code / "link").symlink_to("link")


def folder_link(code):
    (code / "link").symlink_to("lib")


def pipe(code):
    os.mkfifo(code / "pipe")


def unreadable(code):
    (code / "link").symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [outside, absolute, dangling, loop, folder_link, pipe, unreadable])
def test_what_is_refused(code, make):
    make(code)
    with pytest.raises(ConfigError, match="can't be measured"):
        code_digest(code)


@pytest.mark.parametrize("path", ["/dev/zero", "/nowhere/at/all"])
def test_single_special_or_missing_file(path, tmp_path):
    with pytest.raises(ConfigError):
        code_digest(tmp_path / path)


def test_limits(code, monkeypatch):
    monkeypatch.setattr(measure, "MAX_CODE_FILES", 1)
    with pytest.raises(ConfigError, match="files"):
        code_digest(code)
    monkeypatch.setattr(measure, "MAX_CODE_FILES", 10)
    monkeypatch.setattr(measure, "MAX_CODE_BYTES", 10)
    with pytest.raises(ConfigError, match="bytes"):
        code_digest(code)


def test_job_digest_takes_the_code_that_lies_there(code):
    job = {"ppml": "spark-job/1", "name": "q", "code": {"main": "main.py", "digest": code_digest(code)}}
    honest = sha384_hex(canonical_json(job))
    assert measured_job_digest(canonical_json(job), code) == honest
    job["code"]["digest"] = "0" * 64
    assert measured_job_digest(json.dumps(job, indent=2).encode(), code) == honest
    (code / "main.py").write_text("evil()\n")
    assert measured_job_digest(canonical_json(job), code) != honest


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"code":1}',
        b'{"code":{},"code":{}}',
        b'{"code":{},"x":NaN}',
        b'{"code":{},"x":1e999}',
        b'{"code":{},"x":12345678901234567890}',
        b'{"code":{},"x":"\\ud800"}',
        b"[" * 100_000,
        b" " * (measure.MAX_JOB_BYTES + 1),
        b"\xff",
    ],
)
def test_documents_that_are_no_job(code, document):
    with pytest.raises(ConfigError):
        measured_job_digest(document, code)


def test_runner_digest_covers_the_package(tmp_path, monkeypatch):
    package = tmp_path / "ppml_ops"
    (package / "jvm").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "jvm" / "A.java").write_text("class A {}")
    monkeypatch.setattr("ppml_ops.attestation.measure.ppml_ops.__file__", str(package / "__init__.py"))
    first = runner_digest()
    assert len(first) == 96
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    assert runner_digest() == first
    (package / "jvm" / "A.java").write_text("class B {}")
    assert runner_digest() != first


def test_events_of_a_job(code):
    job = canonical_json({"code": {"digest": "", "main": "main.py"}})
    events = job_events(job, code)
    assert [(event.imr, event.event) for event in events] == [(3, RUNNER_EVENT), (3, JOB_EVENT)]
    assert parse_event_log(encode_event_log(events)) == events
    by_hand = bytes(48)
    for event in events:
        by_hand = hashlib.sha384(by_hand + bytes.fromhex(event.digest)).digest()
    assert replay(events, 3) == by_hand
    assert replay(events, 2) == bytes(48)


def test_runner_digest_covers_the_jars_and_all_that_python_would_load(tmp_path, monkeypatch):
    package = tmp_path / "lib" / "ppml_ops"
    jars = tmp_path / "share" / "ppml-ops"
    for folder in (package, jars):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr("ppml_ops.attestation.measure.ppml_ops.__file__", str(package / "__init__.py"))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    seen = [runner_digest()]
    for change in (
        lambda: (jars / "ppml-ops-spark-1-4.jar").write_bytes(b"1"),
        lambda: (jars / "ppml-ops-spark-1-4.jar").write_bytes(b"2"),
        lambda: (jars / "ppml-ops-spark-1-4.jar").rename(jars / "ppml-ops-spark-2-4.jar"),
        lambda: (package / "agent.cpython-311-x86_64-linux-gnu.so").write_bytes(b"x"),
        lambda: (package / "agent.pyc").write_bytes(b"x"),
    ):
        change()
        seen.append(runner_digest())
    assert len(set(seen)) == 6

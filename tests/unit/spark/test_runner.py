import sys
from pathlib import Path

import pytest

from ppml_ops.attestation.measure import code_digest
from ppml_ops.spark import runner
from ppml_ops.spark.runner import CodeChangedError, verified_copy


def run(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...] = ()) -> int:
    script = tmp_path / "app.py"
    script.write_text(text)
    monkeypatch.setattr(sys, "argv", ["runner.py"])
    monkeypatch.setattr(sys, "path", ["/ppml_ops/spark", *sys.path])
    return runner.run_script(script, text.encode(), list(arguments))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", 0),
        ("import sys; sys.exit(0)", 0),
        ("raise SystemExit", 0),
        ("import sys; sys.exit(77)", 70),
        ("import sys; sys.exit('no input')", 70),
        ("raise ValueError('x')", 70),
        ("raise KeyboardInterrupt", 70),
        ("def broken(:", 70),
    ],
)
def test_exit_code_of_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    assert run(tmp_path, text, monkeypatch) == code


def test_script_sees_what_plain_python_would_give_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "neighbour_of_app.py").write_text("value = 42")
    text = (
        "import sys, neighbour_of_app\n"
        "assert __name__ == '__main__' and sys.argv[1:] == ['--a', 'b c'] and sys.argv[0] == __file__\n"
        "assert neighbour_of_app.value == 42 and '/ppml_ops/spark' not in sys.path\n"
    )
    assert run(tmp_path, text, monkeypatch, ("--a", "b c")) == 0


def test_script_is_the_main_module_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.modules["__main__"]
    text = (
        "import pickle, __main__\n"
        "class Row: pass\n"
        "assert __main__.Row is Row and isinstance(pickle.loads(pickle.dumps(Row())), Row)\n"
    )
    assert run(tmp_path, text, monkeypatch) == 0
    assert sys.modules["__main__"] is before


def test_the_bytes_that_were_compared_run_whatever_the_file_has_become(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["runner.py"])
    monkeypatch.setattr(sys, "path", ["x", *sys.path])
    code = tmp_path / "app.py"
    code.write_text("raise SystemExit(0)")
    script, text = verified_copy(code, "app.py", code_digest(code), tmp_path / "copy")
    for path in (code, script):
        path.write_text("raise SystemExit(1)")
    assert runner.run_script(script, text, []) == 0


def test_a_single_file_has_no_neighbours(tmp_path: Path) -> None:
    code = tmp_path / "code" / "app.py"
    code.parent.mkdir()
    code.write_text("import json")
    code.with_name("json.py").write_text("evil")
    script, _ = verified_copy(code, "app.py", code_digest(code), tmp_path / "copy")
    assert list(script.parent.iterdir()) == [script]


def test_of_a_folder_the_copy_is_measured_and_run(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "lib").mkdir(parents=True)
    (code / "lib" / "a.py").write_text("A = 1")
    (code / "main.py").write_text("import lib.a")
    digest = code_digest(code)
    script, text = verified_copy(code, "main.py", digest, tmp_path / "copy")
    assert (script, text) == (tmp_path / "copy" / "main.py", b"import lib.a")
    assert (tmp_path / "copy/lib/a.py").read_text() == "A = 1"
    (code / "lib" / "a.py").write_text("evil")
    with pytest.raises(CodeChangedError):
        verified_copy(code, "main.py", digest, tmp_path / "copy2")


def test_a_planted_target_is_refused(tmp_path: Path) -> None:
    code = tmp_path / "app.py"
    code.write_text("x = 1")
    (tmp_path / "copy").mkdir()
    with pytest.raises(CodeChangedError):
        verified_copy(code, "app.py", code_digest(code), tmp_path / "copy")


@pytest.mark.parametrize("content", ["print('evil')", None])
def test_changed_or_missing_code_is_denied_with_one_line_and_runs_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: str | None
) -> None:
    (tmp_path / "work").mkdir()
    code = tmp_path / "app.py"
    if content is not None:
        code.write_text(content)
    assert runner.main([str(tmp_path / "application.json"), "0" * 64, str(code), "app.py"]) == 77
    assert capfd.readouterr() == ("", runner.CODE_CHANGED + "\n")
    assert not (tmp_path / "application.json").exists()


class _JavaClass:
    def __init__(self, name: str) -> None:
        self._name = name

    def getName(self) -> str:  # noqa: N802  # Java's name
        return self._name


class _Throwable:
    def __init__(self, name: str, cause: "_Throwable | None" = None) -> None:
        self._class, self._cause = _JavaClass(name), cause

    def getClass(self) -> _JavaClass:  # noqa: N802  # Java's name
        return self._class

    def getCause(self) -> "_Throwable | None":  # noqa: N802  # Java's name
        return self._cause


class _Py4JError(Exception):
    def __init__(self, java: _Throwable) -> None:
        super().__init__("x")
        self.java_exception = java


class _CapturedError(Exception):
    def __init__(self, origin: Exception) -> None:
        super().__init__("x")
        self._origin = origin


def test_java_causes_are_found_through_py4j_and_captured_exceptions() -> None:
    java = _Throwable(
        "org.apache.spark.SparkException", _Throwable("io.github.ppmlops.spark.SealedIntegrityException")
    )
    for error in (_Py4JError(java), _CapturedError(_Py4JError(java)), _CapturedError(java)):  # type: ignore[arg-type]
        assert runner.java_causes(error)[-1] == "io.github.ppmlops.spark.SealedIntegrityException"
    assert runner.java_causes(ValueError("x")) == []


def test_broken_seal_gives_76_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "java_causes", lambda _e: ["io.github.ppmlops.spark.SealedIntegrityException"])
    assert run(tmp_path, "raise ValueError('x')", monkeypatch) == 76
    assert "PPML-INTEGRITY: " in capfd.readouterr().err

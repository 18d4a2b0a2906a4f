from pathlib import Path

import pytest

from ppml_ops.spark import runner


def run(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...] = ()) -> int:
    import sys

    script = tmp_path / "app.py"
    script.write_text(text)
    monkeypatch.setattr(sys, "argv", ["runner.py"])
    monkeypatch.setattr(sys, "path", ["/ppml_ops/spark", *sys.path])
    return runner.run_script(script, list(arguments))


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

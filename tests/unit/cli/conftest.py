"""Runs the command line in this process: real parsing, real exit codes, captured output."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ppml_ops.cli.app import main


class Done(NamedTuple):
    """What a command left behind; white space in `out` and `err` is normalised."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def ppml(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """`ppml("keys", "list")` with a state folder of the test's own."""
    monkeypatch.setenv("PPML_OPS_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["ppml-ops", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Done(code, " ".join(out.split()), " ".join(err.split()))

    return call

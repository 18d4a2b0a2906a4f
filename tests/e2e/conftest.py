"""One installation for all end-to-end tests: a state folder with key broker and simulated platform."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from ppml_ops.cli.services import ensure_services, stop_services
from ppml_ops.spark.jvm.build import build_jar

PROJECT = Path(__file__).parents[2]
_days = itertools.count()

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder; its services run."""
    folder = tmp_path_factory.mktemp("ppml")
    folder.chmod(0o700)
    build_jar()
    try:
        ensure_services(folder)
        yield folder
    finally:
        stop_services(folder)


@pytest.fixture
def day() -> date:
    """A day that no other test has: data sets of several tests don't meet."""
    return date(2025, 1, 1) + timedelta(days=next(_days))


@pytest.fixture(scope="session")
def environment(home: Path) -> dict[str, str]:
    """Environment of commands: user's home and temporary files lie below the state folder too."""
    for name in ("user", "tmp"):
        (home / name).mkdir(mode=0o700, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return inherited | {
        "PPML_OPS_HOME": str(home),
        "PPML_OPS_RETRY_DELAY": "1",
        "HOME": str(home / "user"),
        "TMPDIR": str(home / "tmp"),
        "COLUMNS": "200",
    }


@pytest.fixture(scope="session")
def command(environment: dict[str, str]) -> Cli:
    """Runs `ppml-ops` with arguments; `env` changes its environment."""

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ppml_ops.cli", *arguments],
            cwd=PROJECT,
            env=environment | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return run

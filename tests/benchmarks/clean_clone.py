"""From `git clone` to the result, as somebody who has never seen the project: nothing cached, no settings."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ppml_ops.errors import WorkloadError
from tests.benchmarks.report import Options, Report, Table

_PROJECT = Path(__file__).parents[2]
_OURS = ("AIRFLOW", "PPML_OPS_", "XDG_", "PYTHON", "VIRTUAL_ENV")
_CACHES = ("_CACHE", "_CACHE_DIR", "_FIND_LINKS")


def run(options: Options) -> Report:
    """Measure; raises WorkloadError when a step fails."""
    rows = ["ROWS=" + str(options.rows)] if options.rows else []
    with tempfile.TemporaryDirectory(prefix="ppml-bench-") as folder:
        clone = Path(folder) / "clone"
        environment = stranger(os.environ, Path(folder))
        steps = (
            (
                "git clone",
                Path(folder),
                ["git", "clone", "--quiet", "--no-hardlinks", str(_PROJECT), str(clone)],
            ),
            (" ".join(["make demo", *rows]) + ", cold", clone, ["make", "demo", *rows]),
            (" ".join(["make demo", *rows]) + ", warm", clone, ["make", "demo", *rows]),
        )
        seconds = [(title, _timed(command, place, environment)) for title, place, command in steps]
    cold = seconds[0][1] + seconds[1][1]
    return Report(
        name="clean_clone",
        title="From a clean clone to the result",
        measured=(
            "The last commit cloned into an empty folder; HOME empty, no package, compiler or Python cache, "
            "no setting of the project in the environment; then `make demo` twice. Once each, no median."
        ),
        reading=(
            "Cold: virtual environment, download of all locked packages, build of the Spark jar, services, "
            "Airflow's database and the run; it depends on the package index and the network. Python and "
            "Java were installed before, and the operating system's file cache was not emptied."
        ),
        tables=(
            Table(
                "Seconds",
                ("step", "seconds"),
                tuple((title, f"{value:.1f}") for title, value in [*seconds, ("clone to first result", cold)]),
            ),
        ),
    )


def stranger(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of a new user whose home is an empty folder below `folder`; proxies and CAs stay."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(_OURS) and not name.endswith(_CACHES)
    }
    own = str(Path(sys.prefix) / "bin")
    kept["PATH"] = os.pathsep.join(place for place in kept["PATH"].split(os.pathsep) if place != own)
    places = {"HOME": folder / "home", "TMPDIR": folder / "tmp"}
    for place in places.values():
        place.mkdir(mode=0o700)
    return kept | {name: str(place) for name, place in places.items()}


def _timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        output = (result.stdout + result.stderr).strip()
        raise WorkloadError(
            f"{command[0]} failed (exit code {result.returncode}): {output[-800:]}",
            next_step="run the same steps by hand",
        )
    return time.perf_counter() - start

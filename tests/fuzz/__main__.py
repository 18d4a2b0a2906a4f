"""Coverage-guided fuzzing of everything that reads bytes of strangers: `make fuzz`.

    python -m tests.fuzz [TARGET …] [--seconds 60] [--jobs 1]

Inputs that crash, hang or eat memory are put into the corpus of their target, where an ordinary test runs them
from then on. What was found interesting on the way stays in `.fuzz/`, so that the next call goes on from there.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import registry

ROOT = Path(__file__).parents[2]
#: A single input that takes longer than this is a hang; more memory than that is no parser's need.
HANG_SECONDS, MEMORY_MIB = 10, 2048
MAX_INPUT = 16 * 1024


class Outcome(NamedTuple):
    """What became of one target."""

    name: str
    runs: int
    seconds: float
    found: list[Path]
    failed: bool
    log: Path


def fuzz(name: str, seconds: int) -> Outcome:
    """Run one target in a process of its own; crash inputs go to its corpus."""
    work = ROOT / ".fuzz" / name
    crashes = work / "crashes"
    grown = work / "corpus"
    seeds = registry.CORPUS / name
    for folder in (crashes, grown, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        str(grown), str(seeds), f"-max_total_time={seconds}", f"-timeout={HANG_SECONDS}",
        f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={MAX_INPUT}", f"-artifact_prefix={crashes}/",
        "-print_final_stats=1", "-len_control=0",
    ]  # fmt: skip
    log, started = work / "log", time.monotonic()
    with log.open("wb") as file:
        code = subprocess.call(
            [sys.executable, "-m", "tests.fuzz.child", name, *options], cwd=ROOT, stdout=file, stderr=file
        )
    found = []
    for crash in sorted(crashes.iterdir()):
        target = seeds / crash.name
        crash.replace(target)
        found.append(target)
    runs = re.search(r"number_of_executed_units: *(\d+)", log.read_text("utf-8", "replace"))
    count = int(runs[1]) if runs else 0
    return Outcome(name, count, time.monotonic() - started, found, code != 0, log)


def main() -> int:
    """Fuzz and report; 1 when something was found, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n", 1)[0])
    parser.add_argument("targets", nargs="*", help=f"default: all of {', '.join(registry.names())}")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("FUZZ_SECONDS", "60")))
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    asked = parser.parse_args()
    unknown = set(asked.targets) - set(registry.names())
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    bad = False
    with ThreadPoolExecutor(asked.jobs) as pool:
        for outcome in pool.map(lambda name: fuzz(name, asked.seconds), asked.targets or registry.names()):
            bad = bad or outcome.failed
            word = f"FAILED, see {outcome.log}" if outcome.failed else "ok"
            print(f"{outcome.name:<16} {outcome.runs:>10,} runs {outcome.seconds:>6.0f} s  {word}", flush=True)
            for path in outcome.found:
                print(f"{'':<16} input kept as {path.relative_to(ROOT)}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())

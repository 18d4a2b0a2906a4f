"""Runs benchmarks one after another: python -m tests.benchmarks."""

import argparse
import sys
from collections.abc import Callable

from rich.console import Console

from ppml_ops.errors import PpmlError
from tests.benchmarks import (
    airflow_overhead,
    backfill,
    cipher_start,
    clean_clone,
    cluster_start,
    original,
    release,
    release_many,
    sealing,
    simple_query,
)
from tests.benchmarks.document import write_section
from tests.benchmarks.machine import machine_facts
from tests.benchmarks.report import Options, Report

BENCHMARKS: dict[str, Callable[[Options], Report]] = {
    "simple_query": simple_query.run,
    "sealing": sealing.run,
    "original": original.run,
    "cipher_start": cipher_start.run,
    "release": release.run,
    "release_many": release_many.run,
    "airflow_overhead": airflow_overhead.run,
    "backfill": backfill.run,
    "clean_clone": clean_clone.run,
    "cluster_start": cluster_start.run,
}
#: Download some hundred megabytes, take half an hour, or need a cluster: run only when named.
ON_REQUEST = ("clean_clone", "backfill", "cluster_start")


#: Columns where the output is no terminal.
_WIDTH = 120


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; returns the exit code of the first one that failed, 0 when none did."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure PPML Ops.")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="this one; may be repeated")
    parser.add_argument("--rows", type=_positive, help="rows of people, instead of each benchmark's own number")
    parser.add_argument("--rounds", type=_positive, help="rounds that count, instead of its own number")
    parser.add_argument("--mib", type=_positive, help="sealing: MiB of the file that is sealed (512)")
    parser.add_argument("--write", action="store_true", help="renew the sections of docs/benchmarks.md")
    asked = parser.parse_args(arguments)
    options = Options(rows=asked.rows, rounds=asked.rounds, mib=asked.mib)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    failed = 0
    for name in asked.only or [name for name in BENCHMARKS if name not in ON_REQUEST]:
        machine = machine_facts()
        try:
            with Console(stderr=True).status(name):
                report = BENCHMARKS[name](options)
            report.show(console)
            console.print(f"Machine: {machine}\n", markup=False)
            if asked.write:
                write_section(report, machine)
        except PpmlError as error:
            console.print(f"{name}: {error}", markup=False)
            failed = failed or error.exit_code
    return failed


if __name__ == "__main__":
    sys.exit(main())

"""AES-GCM in a fresh JVM, with and without the warm-up that the Spark plugin does while its agent runs."""

import statistics
import subprocess
from pathlib import Path

from ppml_ops.spark.jvm.build import find_java
from tests.benchmarks.report import Options, Report, Row, Table

ROUNDS = 3
_PROGRAM = Path(__file__).with_name("java") / "CipherStart.java"
_CALLS = (0, 2000, 6000)


def run(options: Options) -> Report:
    """Measure; raises ConfigError without a Java."""
    rounds = options.rounds or ROUNDS
    rows = tuple(_row(calls, [_once(calls) for _ in range(rounds)]) for calls in _CALLS)
    return Report(
        name="cipher_start",
        title="AES-GCM in a fresh JVM",
        measured=(
            "Encryption and decryption of 1 MiB segments, as sealed files have them, in a JVM that has just "
            "started, after a number of calls with 1 KiB. `CipherWarmUp` makes 6,000 of them while the JVM "
            f"waits for its agent. {rounds} JVMs for each row, one after another, one thread, medians."
        ),
        reading=(
            "MB/s, both directions counted, for the first 84 MB and each 84 MB after them. HotSpot has fast "
            "code for AES-GCM only in compiled methods, and compiles what is called often: few long calls "
            "stay in the interpreter for hundreds of megabytes."
        ),
        tables=(
            Table("MB/s", ("calls before", "they take, s", "first", "2nd", "3rd", "4th", "5th", "6th"), rows),
        ),
    )


def _once(calls: int) -> list[float]:
    command = [str(find_java()), str(_PROGRAM), str(calls)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [float(number) for number in done.stdout.split()]


def _row(calls: int, results: list[list[float]]) -> Row:
    medians = [statistics.median(column) for column in zip(*results, strict=True)]
    return (f"{calls:,}", f"{medians[0]:.2f}", *(f"{speed:,.0f}" for speed in medians[1:]))

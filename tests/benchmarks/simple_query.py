"""SimpleQuery over sealed data against the same query over plain data."""

import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from ppml_ops.errors import IntegrityError
from ppml_ops.spark.jvm.build import build_jar
from ppml_ops.workloads.generate_people import expected_summary
from tests.benchmarks.measure import median_range, pair_ratios, rotated
from tests.benchmarks.query_data import FORMATS, SEED, QueryData
from tests.benchmarks.report import Options, Report, Row, Table
from tests.benchmarks.spark_variant import SEALING, SHIELDING, SparkVariant, Timing

ROWS = 10_000_000
ROUNDS = 6
WARM_UP = 2


class Variant(NamedTuple):
    """What protects an application, and the settings it lacks compared with the product's."""

    name: str
    title: str
    sealed: bool
    taken_out: tuple[str, ...]


SEALED = Variant("sealed", "sealed", True, ())
PLAIN = Variant("plain", "plain", False, SEALING)
BARE = Variant("bare", "plain, unshielded", False, SEALING + SHIELDING)
VARIANTS = (SEALED, PLAIN, BARE)

Timings = dict[tuple[str, str], list[Timing]]


def run(options: Options) -> Report:
    """Measure; raises WorkloadError when a query fails, IntegrityError when one gives other rows."""
    rows, rounds = options.rows or ROWS, options.rounds or ROUNDS
    build_jar()
    with tempfile.TemporaryDirectory(prefix="ppml-bench-") as folder:
        data = QueryData(Path(folder), rows)
        timings = _measure(data, rounds)
        _check_results(data, rows)
        tables = tuple(
            _table(f"{form.upper()}, one file of {data.megabytes(form):.1f} MB", timings, form)
            for form in FORMATS
        )
    return Report(
        name="simple_query",
        title="SimpleQuery, sealed against plain",
        measured=(
            "The steps of `simple_query.py` (count, ages plus one shown, developers of 20 to 40 written in "
            f"two files) over {rows:,} people. Three Spark applications stand by at the same time, each with "
            "the settings that the product renders for the `local` profile (two threads, heap of 1 GiB): "
            "sealed; plain, without the settings that seal; and plain without encryption of spill files and "
            f"without authentication and encryption of RPC as well. They take turns: {WARM_UP} rounds to warm "
            f"up, {rounds} that count, in rotated order. Keys come from a stand-in for the agent, so no "
            "attestation is in the figures. Afterwards the rows of all results were compared with the "
            "expected ones."
        ),
        reading=(
            "Times are medians in seconds. CPU is that of JVM and Python processes together. x is the ratio "
            "to plain in the same round: median (smallest-largest). Where wall and CPU disagree, believe "
            "CPU. The last row against plain tells what encrypted spill files and RPC cost."
        ),
        tables=tables,
    )


def _measure(data: QueryData, rounds: int) -> Timings:
    timings: Timings = {(variant.name, form): [] for variant in VARIANTS for form in FORMATS}
    with ExitStack() as stack:
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ppml-")))
        started = {
            variant.name: stack.enter_context(
                SparkVariant(
                    data.root / "spark" / variant.name,
                    sockets / variant.name,
                    variant.taken_out,
                    data.world.environment() if variant.sealed else {},
                )
            )
            for variant in VARIANTS
        }
        for number in range(WARM_UP + rounds):
            for form in FORMATS:
                for variant in rotated(VARIANTS, number):
                    source, target = data.places(form, variant.name, sealed=variant.sealed)
                    timing = started[variant.name].query(source, target, form)
                    if number >= WARM_UP:
                        timings[variant.name, form].append(timing)
    return timings


def _check_results(data: QueryData, rows: int) -> None:
    expected = expected_summary(rows, SEED)
    for form in FORMATS:
        for variant in VARIANTS:
            if data.result(form, variant.name, sealed=variant.sealed) != expected:
                raise IntegrityError(
                    f"the {variant.name} query over {form} gave other rows than expected",
                    next_step="do not use the figures; compare the workload with the expectation",
                )


def _table(title: str, timings: Timings, form: str) -> Table:
    plain = timings[PLAIN.name, form]

    def row(variant: Variant) -> Row:
        own = timings[variant.name, form]
        return (
            variant.title,
            _median([one.wall for one in own]),
            _ratio([one.wall for one in own], [one.wall for one in plain]),
            _median([one.cpu for one in own]),
            _ratio([one.cpu for one in own], [one.cpu for one in plain]),
            *(_median([one.steps[step] for one in own]) for step in range(3)),
        )

    columns = ("variant", "wall s", "x", "CPU s", "x", "load", "count and show", "filter and write")
    return Table(title, columns, tuple(row(variant) for variant in VARIANTS))


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}"


def _ratio(values: Sequence[float], bases: Sequence[float]) -> str:
    return median_range(pair_ratios(values, bases))

"""Seeded people (name, age, job) of any size, with the rows that a query must find known without Spark.

Rows come in blocks, each derived from (seed, variant, block number) alone by SHAKE-256: the same seed gives
the same bytes on every Python version, blocks can be made in parallel or again, and memory stays constant.
Original: `generate_people_csv.py <target path> <num_lines>` of BigDL PPML (name, age 18 to 60, three jobs).
"""

import argparse
import hashlib
import sys
from array import array
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from ppml_ops.errors import ConfigError
from ppml_ops.workloads.rows import RowSummary, summarise

Variant = Literal["people", "no-match"]
Row = tuple[str, str, str]

COLUMNS = ("name", "age", "job")
HEADER = b"name,age,job\n"
MIN_AGE, MAX_AGE = 18, 60
JOBS = ("Developer", "Engineer", "Researcher")
BLOCK_ROWS = 65_536

_FIRST = (
    "Ada", "Alan", "Barbara", "Björn", "Chloé", "Dennis", "Edsger", "Frances", "Grace", "Hedy", "İpek",
    "Jürgen", "Katherine", "Lê", "Margaret", "Niklaus", "Ólafur", "Radia", "Søren", "Tim", "Ursula", "Žofia",
    "李", "Наталья",
)  # fmt: skip
_LAST = (
    "Allen", "Björk", "Dijkstra", "Germain", "Hamilton", "Hopper", "Johnson", "Kay", "Lamarr", "Liskov",
    "Lovelace", "Meyer", "Müller", "Ng", "O'Neil", "Perlman", "Quiñones", "Ritchie", "Shamir", "Turing",
    "Wirth", "Öztürk", "小林",
)  # fmt: skip
_SPECIAL = (
    "Lovelace, Ada", 'Grace "Amazing" Hopper', 'Nguyễn, "Bi"', "back\\slash Bob", "  spaced  Sam ",
    "Zoë 🚀 Orbit", "tab\tTerry", "=1+2",
)  # fmt: skip
_NAME_SLOTS = 4096
_SPECIAL_EVERY = 64


def _quoted(field: str) -> str:
    """RFC 4180: quotes around fields with a comma or a quote, quotes doubled."""
    if "," in field or '"' in field:
        return '"' + field.replace('"', '""') + '"'
    return field


@cache
def _names() -> tuple[str, ...]:
    """4096 names; every 64th is one that breaks careless CSV code."""
    return tuple(
        _SPECIAL[slot // _SPECIAL_EVERY % len(_SPECIAL)]
        if slot % _SPECIAL_EVERY == 0
        else f"{_FIRST[slot % len(_FIRST)]} {_LAST[slot // len(_FIRST) % len(_LAST)]}"
        for slot in range(_NAME_SLOTS)
    )


@cache
def _combinations(variant: Variant) -> tuple[tuple[int, str], ...]:
    """All (age, job) pairs that a variant has; `no-match` has no Developer at all."""
    jobs = JOBS if variant == "people" else JOBS[1:]
    return tuple((age, job) for age in range(MIN_AGE, MAX_AGE + 1) for job in jobs)


def _draws(seed: int, variant: Variant, block: int) -> tuple[list[int], list[int]]:
    """For each row of a block its name slot and its (age, job) slot, from 32 bits of SHAKE-256 a row."""
    stream = hashlib.shake_256(f"ppml-ops/people/v1\0{variant}\0{seed}\0{block}".encode())
    numbers = array("H")
    numbers.frombytes(stream.digest(BLOCK_ROWS * 4))
    if sys.byteorder == "big":
        numbers.byteswap()
    slots = len(_combinations(variant))
    return [n % _NAME_SLOTS for n in numbers[0::2]], [n % slots for n in numbers[1::2]]


def _check(rows: int) -> None:
    if rows < 0:
        raise ConfigError(f"{rows} rows asked for", next_step="ask for 0 or more rows")


def blocks(rows: int, seed: int, *, variant: Variant = "people", first_block: int = 0) -> Iterator[bytes]:
    """The CSV lines (no header) of block `first_block` and on, one `bytes` of up to 65 536 rows at a time."""
    _check(rows)
    names = [_quoted(name) + "," for name in _names()]
    endings = [f"{age},{job}\n" for age, job in _combinations(variant)]
    for block in range(first_block, -(-rows // BLOCK_ROWS)):
        name_slots, ending_slots = _draws(seed, variant, block)
        left = min(BLOCK_ROWS, rows - block * BLOCK_ROWS)
        pairs = islice(zip(name_slots, ending_slots, strict=True), left)
        yield "".join([names[name] + endings[ending] for name, ending in pairs]).encode("utf-8")


def generate(sink: BinaryIO | Path, rows: int, seed: int, *, variant: Variant = "people") -> None:
    """Write `rows` people as CSV with a header to an open binary stream or a new file.

    Raises:
        ConfigError: a negative number of rows.
    """
    _check(rows)
    if isinstance(sink, Path):
        with sink.open("wb") as file:
            generate(file, rows, seed, variant=variant)
        return
    sink.write(HEADER)
    for block in blocks(rows, seed, variant=variant):
        sink.write(block)


def expected_rows(
    rows: int,
    seed: int,
    min_age: int = 20,
    max_age: int = 40,
    job: str = "Developer",
    *,
    variant: Variant = "people",
) -> Iterator[Row]:
    """The rows that SimpleQuery must keep: this job, ages from `min_age` to `max_age` inclusive."""
    _check(rows)
    names = _names()
    keep = [
        (str(age), its_job) if its_job == job and min_age <= age <= max_age else None
        for age, its_job in _combinations(variant)
    ]
    for block in range(-(-rows // BLOCK_ROWS)):
        name_slots, slots = _draws(seed, variant, block)
        left = min(BLOCK_ROWS, rows - block * BLOCK_ROWS)
        for name, slot in islice(zip(name_slots, slots, strict=True), left):
            kept = keep[slot]
            if kept is not None:
                yield names[name], *kept


def expected_summary(
    rows: int,
    seed: int,
    min_age: int = 20,
    max_age: int = 40,
    job: str = "Developer",
    *,
    variant: Variant = "people",
) -> RowSummary:
    """Count and order-independent digest of `expected_rows`."""
    return summarise(expected_rows(rows, seed, min_age, max_age, job, variant=variant))


def main(arguments: list[str] | None = None) -> None:
    """`generate_people PATH ROWS [--seed N] [--variant V]`: the order of arguments is the original's."""
    parser = argparse.ArgumentParser(description="Write seeded people (name, age, job) as CSV.")
    parser.add_argument("path", type=Path, help="file to write")
    parser.add_argument("rows", type=int, help="number of rows after the header")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default 1)")
    parser.add_argument(
        "--variant", choices=("people", "no-match"), default="people", help="no-match: no Developer"
    )
    options = parser.parse_args(arguments)
    generate(options.path, options.rows, options.seed, variant=options.variant)


if __name__ == "__main__":
    main()

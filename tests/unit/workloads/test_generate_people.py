import csv
import hashlib
import io
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError
from ppml_ops.workloads.generate_people import (
    BLOCK_ROWS,
    COLUMNS,
    HEADER,
    JOBS,
    blocks,
    expected_rows,
    expected_summary,
    generate,
    main,
)
from ppml_ops.workloads.rows import summarise

ROWS = BLOCK_ROWS + 1000
GOLDEN = "3f26f5a12c2297b015431816dffb3bc58ec6fc42358a618f9106b78b230b95df"


def people(rows: int, seed: int, variant: str = "people") -> list[list[str]]:
    sink = io.BytesIO()
    generate(sink, rows, seed, variant=variant)  # type: ignore[arg-type]
    found = list(csv.reader(io.StringIO(sink.getvalue().decode(), newline="")))
    assert tuple(found[0]) == COLUMNS
    return found[1:]


@pytest.fixture(scope="module")
def rows() -> list[list[str]]:
    return people(ROWS, 7)


def test_bytes_never_change() -> None:
    """Manifests of earlier runs name what this seed gave then."""
    sink = io.BytesIO()
    generate(sink, 1000, 1)
    assert hashlib.sha256(sink.getvalue()).hexdigest() == GOLDEN


def test_ages_jobs_and_number_of_rows(rows: list[list[str]]) -> None:
    assert len(rows) == ROWS
    assert {row[2] for row in rows} == set(JOBS)
    assert {int(row[1]) for row in rows} == set(range(18, 61))


def test_names_try_careless_csv_code(rows: list[list[str]]) -> None:
    names = {row[0] for row in rows}
    assert len(names) > 500
    for trap in (",", '"', "\\", "  "):
        assert any(trap in name for name in names)
    assert any(not name.isascii() for name in names)


@pytest.mark.parametrize(
    ("low", "high", "job"), [(20, 40, "Developer"), (18, 60, "Engineer"), (60, 60, "Researcher")]
)
def test_expectation_is_what_a_plain_filter_finds(rows: list[list[str]], low: int, high: int, job: str) -> None:
    found = [row for row in rows if low <= int(row[1]) <= high and row[2] == job]
    assert [list(row) for row in expected_rows(ROWS, 7, low, high, job)] == found
    assert expected_summary(ROWS, 7, low, high, job) == summarise(found)
    assert found


def test_no_match_has_no_developer_and_expects_nothing() -> None:
    assert {row[2] for row in people(3000, 7, "no-match")} == set(JOBS[1:])
    assert expected_summary(3000, 7, variant="no-match").rows == 0


def test_blocks_can_be_made_apart() -> None:
    whole = list(blocks(ROWS, 7))
    assert len(whole) == 2
    assert list(blocks(ROWS, 7, first_block=1)) == whole[1:]


def test_another_seed_gives_other_people() -> None:
    assert people(100, 1) != people(100, 2)


def test_sizes_at_the_edges(tmp_path: Path) -> None:
    generate(tmp_path / "none.csv", 0, 1)
    assert (tmp_path / "none.csv").read_bytes() == HEADER
    assert len(people(BLOCK_ROWS, 1)) == BLOCK_ROWS
    assert list(expected_rows(0, 1)) == []
    with pytest.raises(ConfigError):
        generate(tmp_path / "x.csv", -1, 1)


def test_command_line_takes_the_originals_arguments(tmp_path: Path) -> None:
    main([str(tmp_path / "people.csv"), "500", "--seed", "3"])
    assert (tmp_path / "people.csv").read_bytes().count(b"\n") == 501

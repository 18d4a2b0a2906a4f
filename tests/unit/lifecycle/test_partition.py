"""Every way to start a run and the day it gives: the table of airflow.md 9.4, and its pitfalls."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.partition import partition_of, with_day
from ppml_ops.receipts.run_key import run_key

NOW = datetime(2026, 11, 21, 15, 3, tzinfo=UTC)


def at(day: int, hour: int = 2, minute: int = 30) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "run_type", "start", "run_after", "logical", "expected"),
    [
        (None, "scheduled", at(20), at(21), at(20), date(2026, 11, 20)),
        (None, "backfill", at(16), at(17), at(16), date(2026, 11, 16)),
        (None, "manual", None, NOW, None, date(2026, 11, 20)),  # dags trigger; REST with null
        (None, "manual", at(20), NOW, NOW, date(2026, 11, 20)),  # the form with logical date = now
        (None, "manual", at(19), at(21, 1), at(21, 1), date(2026, 11, 20)),  # between 00:00 and 02:30
        (date(2026, 11, 3), "manual", at(20), NOW, at(10), date(2026, 11, 3)),
        (date(2026, 11, 21), "manual", None, NOW, None, date(2026, 11, 21)),  # today has begun
        (date(2026, 11, 3), "asset_triggered", None, NOW, None, date(2026, 11, 3)),
    ],
)
def test_the_day_of_each_entry_path(
    asked: date | None,
    run_type: str,
    start: datetime | None,
    run_after: datetime,
    logical: datetime | None,
    expected: date,
) -> None:
    assert partition_of(asked, run_type, start, run_after, logical, UTC) == expected


@pytest.mark.parametrize(
    ("asked", "run_type", "start", "logical", "message"),
    [
        (date(2026, 11, 3), "scheduled", at(20), at(20), "for manual runs"),
        (date(2026, 11, 3), "backfill", at(16), at(16), "for manual runs"),
        (None, "scheduled", None, None, "no data interval"),
        (date(2026, 11, 22), "manual", None, None, "future"),
        (None, "manual", at(8), at(10, 0), "no parameter `date`"),
    ],
)
def test_ambiguous_and_impossible_days_are_refused(
    asked: date | None, run_type: str, start: datetime | None, logical: datetime | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        partition_of(asked, run_type, start, NOW, logical, UTC)


def test_a_schedule_in_another_zone_takes_the_local_day() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 11, 20, 0, 30, tzinfo=berlin)
    assert partition_of(None, "scheduled", start.astimezone(UTC), NOW, start, berlin) == date(2026, 11, 20)


@given(st.text(max_size=60), st.text(max_size=200), st.dates())
def test_run_keys_fit_paths_labels_and_pod_names(dag_id: str, run_id: str, day: date) -> None:
    key = run_key(dag_id, run_id, day)
    assert len(key) <= 20 + 1 + 8 + 1 + 12
    assert key.strip("-") == key
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_known_run_key() -> None:
    """Paths and tickets of existing runs hang on it."""
    assert run_key("simple_query", "manual__x", date(2026, 11, 20)) == "simple-query-20261120-b786edc2c073"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/{date}/people.csv", "/data/2026-11-03/people.csv"),
        ("s3://b/{date:%Y/%m/%d}.csv", "s3://b/2026/11/03.csv"),
        ("/data/{date:%Y}/{date}.csv", "/data/2026/2026-11-03.csv"),
        ("/data/{day}/{}/{date/people.csv", "/data/{day}/{}/{date/people.csv"),
        ("/data/people.csv", "/data/people.csv"),
        ("", ""),
    ],
)
def test_the_day_stands_in_an_input(text: str, expected: str) -> None:
    assert with_day(text, date(2026, 11, 3)) == expected

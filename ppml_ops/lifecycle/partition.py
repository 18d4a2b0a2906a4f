"""Which day a run is about: one pure function that every entry path shares."""

import re
from datetime import date, datetime, timedelta, tzinfo

from ppml_ops.errors import ConfigError

_DAY = re.compile(r"\{date(?::([^{}]{1,40}))?\}")


def partition_of(
    asked: date | None,
    run_type: str,
    interval_start: datetime | None,
    run_after: datetime,
    logical_date: datetime | None,
    zone: tzinfo,
) -> date:
    """The day whose data a run works on.

    Scheduled and backfill runs take the start of their interval in the timetable's zone. Every other run takes
    the day asked for, else the day before `run_after`; never its own interval, which means another day
    (Airflow infers [D-1, D) for manual runs and uses [D, D+1) for scheduled ones).

    Raises:
        ConfigError: a date was given to a scheduled or backfill run, the date is not over yet, or a manual run
            has a logical date of another day and no date.
    """
    if run_type in ("scheduled", "backfill"):
        if asked is not None:
            raise ConfigError(
                f"the parameter `date` ({asked}) is for manual runs, this is a {run_type} run",
                next_step="leave `date` empty: the run takes the day of its interval",
            )
        if interval_start is None:
            raise ConfigError(
                f"the {run_type} run has no data interval",
                next_step="give the DAG a CronDataIntervalTimetable",
            )
        return interval_start.astimezone(zone).date()
    today = run_after.astimezone(zone).date()
    if asked is not None:
        if asked > today:
            raise ConfigError(
                f"the date {asked} lies in the future: today is {today}",
                next_step="name a day that has begun",
            )
        return asked
    if logical_date is not None and abs(logical_date - run_after) > timedelta(days=1):
        raise ConfigError(
            f"the run has the logical date {logical_date.date()} but no parameter `date`",
            next_step="say the day: --date on the command line, `date` in the trigger form",
        )
    return today - timedelta(days=1)


def with_day(text: str, day: date) -> str:
    """`text` with the day of the run in place of `{date}` (2026-11-20) or `{date:FORMAT}`, by strftime.

    One parameter then names the input of every night: `/data/{date:%Y/%m}/{date}.csv`. Other braces stay.
    """
    return _DAY.sub(lambda found: day.strftime(found[1]) if found[1] else day.isoformat(), text)

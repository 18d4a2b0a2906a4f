"""Airflow's own backfills, made and read without its API server: one run for each interval of a range.

Source: `airflow.models.backfill` of Airflow 3.3.2. A backfill is open until `completed_at` is set, and a DAG
has at most one open backfill.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from time import sleep
from typing import Any, Literal, NamedTuple

from airflow.sdk import DAG
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ppml_ops.airflow.stage import zone_of
from ppml_ops.errors import ConfigError, TransientError

Reprocess = Literal["none", "failed", "completed"]
#: More days at once are a slip of the pen, and Airflow would make all their runs.
MAX_DAYS = 3660
_OPEN = ("queued", "running")
_LOCKED_TRIES = 40
_LOCKED_SECONDS = 0.5


@dataclass(frozen=True)
class Request:
    """What was asked for: every interval of the DAG that begins on one of the days `first` to `last`."""

    dag_id: str
    first: date
    last: date
    conf: dict[str, Any] = field(default_factory=dict)
    reprocess: Reprocess = "none"
    parallel: int = 1

    @property
    def command(self) -> str:
        """The call that asks for the same days."""
        return f"ppml-ops backfill {self.dag_id} --from {self.first} --to {self.last}"


class Day(NamedTuple):
    """One interval of a backfill.

    `state` is that of its DAG run, "skipped" when the backfill made none (then `reason` is Airflow's), or
    "gone" when the run was deleted. `own` says whether the run belongs to this backfill.
    """

    day: date
    run_id: str | None
    state: str
    own: bool
    reason: str = ""


def open_backfill(dag: DAG, request: Request, session: Session) -> tuple[int, bool]:
    """Make the backfill, or attach to the open one of the same request.

    Returns:
        Its id, and whether it was there before.

    Raises:
        ConfigError: parameters don't fit, an interval is not over, or another backfill of the DAG is open.
        TransientError: the database stays locked.
    """
    for _attempt in range(_LOCKED_TRIES):
        try:
            return _open(dag, request, session)
        except OperationalError:  # SQLite under a busy scheduler; Airflow removes what it had begun
            session.rollback()
            sleep(_LOCKED_SECONDS)
    raise TransientError(
        f"Airflow's database stayed locked, so the backfill of {request.dag_id} could not be made",
        next_step="call this again; with PostgreSQL it does not happen",
    )


def _open(dag: DAG, request: Request, session: Session) -> tuple[int, bool]:
    from airflow.models.backfill import ReprocessBehavior, _create_backfill

    start, end = _bounds(dag, request)
    former = _open_one(request.dag_id, session)
    if former is not None and not _days(former, dag, session):
        close_backfill(former.id, session)  # its maker died before it made a single run
        former = None
    if former is not None:
        same = (former.from_date, former.to_date, former.dag_run_conf or {}) == (start, end, request.conf)
        if not same:
            first, last = (
                moment.astimezone(zone_of(dag)).date() for moment in (former.from_date, former.to_date)
            )
            raise ConfigError(
                f"backfill {former.id} of {request.dag_id} from {first} to {last} is not finished"
                + (f" (its parameters: {former.dag_run_conf})" if former.dag_run_conf else ""),
                next_step=f"let it finish: ppml-ops backfill {request.dag_id} --from {first} --to {last}"
                " with the same parameters; a DAG has one backfill at a time",
            )
        return former.id, True
    check_request(dag, request)
    with _airflow_refusals(request):
        made = _create_backfill(
            dag_id=request.dag_id,
            from_date=start,
            to_date=end,
            max_active_runs=request.parallel,
            reverse=False,
            dag_run_conf=request.conf or None,
            triggering_user_name=None,
            reprocess_behavior=ReprocessBehavior(request.reprocess),
        )
        session.commit()  # see what the other session wrote
        return int(made.id), False


def check_request(dag: DAG, request: Request) -> list[date]:
    """The days of the request's intervals, oldest first.

    Raises:
        ConfigError: an unknown parameter, `date`, a last day before the first, no interval, or one not over.
    """
    from airflow.serialization.serialized_objects import DagSerialization

    if "date" in request.conf:
        raise ConfigError(
            "a backfill takes its days from --from and --to, not from the parameter `date`",
            next_step="leave `date` out; for a single day: ppml-ops run with --date",
        )
    unknown = sorted(set(request.conf) - set(dag.params))
    if unknown:
        raise ConfigError(
            f"DAG {dag.dag_id} has no parameter {', '.join(unknown)}",
            next_step=f"use these: {', '.join(sorted(dag.params))}",
        )
    start, end = _bounds(dag, request)
    serialized: Any = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    if not serialized.timetable.periodic:
        raise ConfigError(
            f"DAG {dag.dag_id} has no regular schedule, so a range of days means nothing to it",
            next_step="run single days: ppml-ops run with --date",
        )
    if start > datetime.now(UTC) or (request.last - request.first).days >= MAX_DAYS:
        raise ConfigError(
            f"{request.first} to {request.last} is not a range of at most {MAX_DAYS} days that has begun",
            next_step="give an earlier or a shorter range",
        )
    infos = [info for info in serialized.iter_dagrun_infos_between(start, end) if info.data_interval]
    zone = zone_of(dag)
    if not infos:
        raise ConfigError(
            f"the schedule of {dag.dag_id} has no run from {request.first} to {request.last}",
            next_step="give a range that holds at least one",
        )
    for info in infos:
        if info.data_interval.end > datetime.now(UTC):
            raise ConfigError(
                f"the interval of {info.data_interval.start.astimezone(zone).date()} is not over before "
                f"{info.data_interval.end.astimezone(zone):%Y-%m-%d %H:%M %Z}",
                next_step="give an earlier --to",
            )
    return [info.data_interval.start.astimezone(zone).date() for info in infos]


def would_do(dag: DAG, request: Request, session: Session) -> list[Day]:
    """What a backfill of the request would do with each interval: state "run" or "skipped". Makes nothing."""
    from airflow.models.backfill import ReprocessBehavior, _do_dry_run

    days = check_request(dag, request)
    start, end = _bounds(dag, request)
    with _airflow_refusals(request):
        infos = _do_dry_run(
            dag_id=request.dag_id,
            from_date=start,
            to_date=end,
            reverse=False,
            reprocess_behavior=ReprocessBehavior(request.reprocess),
            dag_run_conf=request.conf or None,
            session=session,
        )
        wanted = [
            info.data_interval.start.astimezone(zone_of(dag)).date() for info in infos if info.data_interval
        ]
    return [
        Day(day, None, "run", True) if day in wanted else Day(day, None, "skipped", False, "already exists")
        for day in days
    ]


def days_of(backfill: int, dag: DAG, session: Session) -> list[Day]:
    """The intervals of a backfill in order, as the database says now."""
    from airflow.models.backfill import Backfill

    session.rollback()  # a new transaction, so that what others wrote is seen
    try:
        return _days(session.get_one(Backfill, backfill), dag, session)
    finally:
        session.rollback()  # an open one would keep SQLite from tidying its journal


def unfinished(days: list[Day]) -> list[Day]:
    """Those whose run has not ended."""
    return [day for day in days if day.own and day.state in _OPEN]


def close_backfill(backfill: int, session: Session) -> None:
    """Mark it as completed, as a scheduler does every 30 s; runs are not touched."""
    from airflow.models.backfill import Backfill

    session.rollback()  # SQLite refuses to write in a transaction that has read while others wrote
    wanted = update(Backfill).where(Backfill.id == backfill, Backfill.completed_at.is_(None))
    session.execute(wanted.values(completed_at=datetime.now(UTC)))
    session.commit()


def _open_one(dag_id: str, session: Session) -> Any:
    from airflow.models.backfill import Backfill

    session.rollback()
    return session.scalar(select(Backfill).where(Backfill.dag_id == dag_id, Backfill.completed_at.is_(None)))


def _days(backfill: Any, dag: DAG, session: Session) -> list[Day]:
    from airflow.models.backfill import BackfillDagRun
    from airflow.models.dagrun import DagRun

    zone = zone_of(dag)
    found = []
    rows = session.execute(
        select(BackfillDagRun, DagRun)
        .outerjoin(DagRun, BackfillDagRun.dag_run_id == DagRun.id)
        .where(BackfillDagRun.backfill_id == backfill.id)
        .order_by(BackfillDagRun.sort_ordinal)
    ).all()
    for entry, run in rows:
        day = entry.logical_date.astimezone(zone).date()
        if run is not None:
            found.append(Day(day, run.run_id, str(getattr(run.state, "value", run.state)), True))
        elif entry.exception_reason:
            reason = str(getattr(entry.exception_reason, "value", entry.exception_reason))
            former = session.scalar(
                select(DagRun).where(
                    DagRun.dag_id == backfill.dag_id, DagRun.logical_date == entry.logical_date
                )
            )
            found.append(Day(day, former.run_id if former else None, "skipped", False, reason))
        else:
            found.append(Day(day, None, "gone", True, "its run was deleted"))
    return found


def _bounds(dag: DAG, request: Request) -> tuple[datetime, datetime]:
    """First and last moment of the days, in the timetable's zone: a date alone would mean its midnight."""
    if request.first > request.last:
        raise ConfigError(
            f"--from {request.first} lies after --to {request.last}", next_step="exchange the two days"
        )
    zone = zone_of(dag)
    last = datetime.combine(request.last, time(23, 59, 59), zone)
    return datetime.combine(request.first, time(), zone).astimezone(UTC), last.astimezone(UTC)


@contextmanager
def _airflow_refusals(request: Request) -> Iterator[None]:
    """Airflow's reasons against a backfill as one of our errors."""
    from airflow.sdk.exceptions import AirflowException

    try:
        yield
    except (AirflowException, ValueError) as error:
        raise ConfigError(
            f"Airflow refuses the backfill of {request.dag_id}: {str(error).strip().splitlines()[0]}",
            next_step="correct range or parameters; the trigger form shows what each parameter may be",
        ) from None

"""Backfills in a real Airflow's database, driven in this process; stages do as a test says."""

import gc
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.models.backfill import Backfill
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, CronDataIntervalTimetable
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ppml_ops.airflow.headless.backfill import (
    Request,
    check_request,
    close_backfill,
    open_backfill,
    unfinished,
    would_do,
)
from ppml_ops.airflow.headless.backfill_drive import Backfiller, Interruption
from ppml_ops.airflow.headless.driving import headless, only_driver, scheduler
from ppml_ops.airflow.stage import zone_of
from ppml_ops.cli.backfill_report import outcome_of
from ppml_ops.errors import ConfigError, DataError
from ppml_ops.spark.process import descendants
from tests.integration.airflow.conftest import Stages

pytestmark = pytest.mark.airflow

TODAY = datetime.now(UTC).date()
_weeks = itertools.count()


@pytest.fixture
def first() -> date:
    """The first of ten days that no other test has."""
    return date(2025, 1, 1) + timedelta(days=10 * next(_weeks))


@pytest.fixture
def own(dag: Any) -> Iterator[Session]:
    """A session as the command has it; no backfill stays open for the next test."""
    from airflow import settings

    with Session(settings.engine, expire_on_commit=False) as session:
        yield session
        session.rollback()
        for backfill in session.scalars(select(Backfill).where(Backfill.completed_at.is_(None))):
            close_backfill(backfill.id, session)


Make = Callable[..., Backfiller]


@pytest.fixture
def make(dag: Any, own: Session, stages: Stages, tmp_path: Path) -> Make:
    """Backfillers that drive in this process."""

    def made(request: Request, interruption: Interruption | None = None, around: Any = None) -> Backfiller:
        return Backfiller(
            tmp_path,
            dag,
            request,
            own,
            on_days=lambda _days: None,
            around=around or (lambda _task_instance: nullcontext()),
            interruption=interruption or Interruption(),
        )

    return made


def nights(first: date, count: int, **more: Any) -> Request:
    return Request("simple_query", first, first + timedelta(days=count - 1), **more)


def test_every_night_of_the_range_gets_a_proven_run_and_the_dag_stays_paused(
    make: Make, own: Session, first: date, tmp_path: Path
) -> None:
    number, days = make(nights(first, 3, conf={"rows": 7})).finish()
    assert [day.day for day in days] == [first, first + timedelta(days=1), first + timedelta(days=2)]
    outcomes = [outcome_of(tmp_path, "simple_query", day) for day in days]
    assert all(one.good and one.proven and one.reason == "" for one in outcomes)
    assert own.get_one(Backfill, number).completed_at is not None
    runs = own.scalars(select(DagRun).where(DagRun.backfill_id == number)).all()
    assert {(run.run_type, run.conf["rows"], run.data_interval_start.date()) for run in runs} == {
        ("backfill", 7, day.day) for day in days
    }
    assert own.get_one(DagModel, "simple_query").is_paused


def test_days_that_have_a_run_are_listed_and_judged_by_it(
    make: Make, stages: Stages, first: date, tmp_path: Path
) -> None:
    def no_input_on_the_second() -> None:
        if stages.ran.count("encrypt_upload") == 2:
            raise DataError("there is no input at /data/2.csv", next_step="deliver it")

    stages.instead["encrypt_upload"] = no_input_on_the_second
    _number, days = make(nights(first, 3)).finish()
    assert [day.state for day in days] == ["success", "failed", "success"]
    failed = outcome_of(tmp_path, "simple_query", days[1])
    assert not failed.good
    assert failed.reason == "encrypt_upload@sim-people: there is no input at /data/2.csv"

    stages.instead.clear()
    _number, days = make(nights(first, 3)).finish()
    outcomes = [outcome_of(tmp_path, "simple_query", day) for day in days]
    assert [one.day.state for one in outcomes] == ["skipped"] * 3
    assert [one.good for one in outcomes] == [True, False, True]
    why = "skipped: already exists; encrypt_upload@sim-people: there is no input"
    assert outcomes[1].reason.startswith(why)

    _number, days = make(nights(first, 3, reprocess="failed")).finish()
    assert [day.state for day in days] == ["skipped", "success", "skipped"]
    assert all(outcome_of(tmp_path, "simple_query", day).good for day in days)

    stages.ran.clear()
    _number, days = make(nights(first, 2, reprocess="completed")).finish()
    assert [day.state for day in days] == ["success", "success"]
    assert stages.ran.count("submit") == 2


def test_a_scheduled_run_can_be_reprocessed(
    dag: Any, make: Make, own: Session, session: Any, stages: Stages, first: date, tmp_path: Path
) -> None:
    from airflow.utils.types import DagRunType

    from ppml_ops.airflow.headless.drive import drive
    from tests.integration.airflow.test_dates import create

    start = datetime(first.year, first.month, first.day, 2, 30, tzinfo=UTC)
    create(dag, f"scheduled__{start.isoformat()}", session, DagRunType.SCHEDULED, start, {})
    none = lambda _task_instance: nullcontext()  # noqa: E731
    assert drive(dag, f"scheduled__{start.isoformat()}", {}, none, session) == "success"
    _number, days = make(nights(first, 1, reprocess="completed")).finish()
    assert days[0].state == "success"
    assert outcome_of(tmp_path, "simple_query", days[0]).good


def test_killed_in_a_stage_the_same_request_goes_on_and_another_is_refused(
    dag: Any, make: Make, own: Session, stages: Stages, first: date, tmp_path: Path
) -> None:
    class KilledError(BaseException):
        """What kill -9 looks like to everything below: no handler runs."""

    def around(task_instance: Any) -> Any:
        if task_instance.task_id == "submit" and stages.ran.count("submit") == 1:
            task_instance.set_state("running")
            raise KilledError
        return nullcontext()

    request = nights(first, 3)
    with pytest.raises(KilledError):
        make(request, around=around).finish()
    number, attached = open_backfill(dag, request, own)
    assert attached
    with pytest.raises(ConfigError, match=rf"backfill {number} .*{first} to .* is not finished") as caught:
        make(nights(first, 2)).finish()
    assert f"--from {first} --to {first + timedelta(days=2)}" in caught.value.next_step
    with pytest.raises(ConfigError, match="is not finished"):
        make(nights(first, 3, conf={"rows": 8})).finish()

    assert make(request).finish()[0] == number
    assert stages.ran.count("submit") == 3
    assert stages.ran.count("attest") == 3, "what was done before the kill is not done again"


def test_an_interrupt_inside_a_task_ends_the_backfill_and_the_task_runs_again(
    make: Make, own: Session, stages: Stages, first: date
) -> None:
    interruption = Interruption()

    def handler() -> None:
        if stages.ran.count("submit") == 1:
            interruption.requested = True
            raise KeyboardInterrupt

    stages.instead["submit"] = handler
    request = nights(first, 2)
    with pytest.raises(KeyboardInterrupt):
        make(request, interruption).finish()
    assert stages.ran[-1] == "submit", "neither its teardowns nor the next night began"
    _number, days = make(request).finish()
    assert [day.state for day in days] == ["success", "success"]
    assert stages.ran.count("submit") == 3


def test_a_backfill_without_runs_is_begun_anew(
    dag: Any, make: Make, own: Session, stages: Stages, first: date
) -> None:
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    empty = Backfill(dag_id="simple_query", from_date=start, to_date=start, dag_run_conf={}, max_active_runs=1)
    own.add(empty)
    own.commit()
    number, days = make(nights(first, 1)).finish()
    assert number != empty.id
    assert days[0].state == "success"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request("simple_query", date(2025, 2, 2), date(2025, 2, 1)), "lies after"),
        (Request("simple_query", date(2025, 2, 1), date(2025, 2, 2), {"date": "2025-02-01"}), "`date`"),
        (Request("simple_query", date(2025, 2, 1), date(2025, 2, 2), {"row": 1}), "no parameter row"),
        (Request("simple_query", date(2025, 2, 1), date(2999, 1, 1)), "at most 3660 days"),
        (Request("simple_query", date(2999, 2, 1), date(2999, 2, 1)), "that has begun"),
        (Request("simple_query", TODAY, TODAY), "is not over before"),
    ],
)
def test_requests_that_make_no_sense_make_nothing(
    dag: Any, own: Session, stages: Stages, request_: Request, reason: str
) -> None:
    before = own.scalar(select(func.count()).select_from(Backfill))
    with pytest.raises(ConfigError, match=reason):
        open_backfill(dag, request_, own)
    own.rollback()
    assert own.scalar(select(func.count()).select_from(Backfill)) == before


def test_parameters_that_do_not_fit_are_refused_by_airflow(dag: Any, own: Session, first: date) -> None:
    with pytest.raises(ConfigError, match="refuses the backfill"):
        open_backfill(dag, nights(first, 1, conf={"rows": -1}), own)


def test_a_plan_makes_nothing(make: Make, dag: Any, own: Session, stages: Stages, first: date) -> None:
    make(nights(first, 1)).finish()
    before = own.scalar(select(func.count()).select_from(DagRun))
    plan = would_do(dag, nights(first, 2), own)
    assert [(day.state, day.reason) for day in plan] == [("skipped", "already exists"), ("run", "")]
    own.rollback()
    assert own.scalar(select(func.count()).select_from(DagRun)) == before


def test_days_are_those_of_the_timetables_zone(dag: Any, own: Session) -> None:
    """A name is all that Airflow's timetables keep; 00:30 in Berlin is still the day before in UTC."""
    with DAG("berlin", schedule=CronDataIntervalTimetable("30 0 * * *", "Europe/Berlin")) as berlin:
        pass
    assert str(zone_of(berlin)) == "Europe/Berlin"
    request = Request("berlin", date(2025, 7, 1), date(2025, 7, 3))
    assert check_request(berlin, request) == [date(2025, 7, 1), date(2025, 7, 2), date(2025, 7, 3)]


def test_a_schedule_without_intervals_can_not_be_backfilled(own: Session) -> None:
    with DAG("never", schedule=None) as never:
        pass
    with pytest.raises(ConfigError, match="no regular schedule"):
        check_request(never, Request("never", date(2025, 7, 1), date(2025, 7, 3)))


def test_headless_runs_and_schedulers_keep_out_of_each_others_way(tmp_path: Path) -> None:
    with (
        headless(tmp_path),
        headless(tmp_path),
        pytest.raises(ConfigError, match="headless run"),
        scheduler(tmp_path),
    ):
        pass
    with scheduler(tmp_path), pytest.raises(ConfigError, match="Airflow scheduler"), headless(tmp_path):
        pass
    with (
        only_driver(tmp_path, "d", "r", "run r"),
        pytest.raises(ConfigError, match="drives run r"),
        only_driver(tmp_path, "d", "r", "run r"),
    ):
        pass


def test_memory_files_and_children_stay_flat_over_many_nights(make: Make, stages: Stages, first: date) -> None:
    def usage() -> tuple[int, int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = len(list(Path("/proc/self/fd").iterdir()))
        return pages * os.sysconf("SC_PAGE_SIZE"), files, len(descendants(os.getpid()))

    make(nights(first, 3)).finish()  # imports and caches
    memory, files, children = usage()
    _number, days = make(nights(first + timedelta(days=3), 6)).finish()
    assert not unfinished(days)
    after = usage()
    print(f"per night: {(after[0] - memory) / 6 / 1e6:.2f} MB")
    assert after[0] - memory < 6 * 3_000_000
    assert after[1] <= files + 4, "less than one a night"
    assert after[2] == children

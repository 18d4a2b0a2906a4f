"""Every kind of run works on the right day, in a real Airflow: the table of airflow.md 9.4."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

from ppml_ops.airflow.headless.drive import drive
from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.run import find_run
from tests.integration.airflow.conftest import Stages, no_context

pytestmark = pytest.mark.airflow


def create(
    dag: Any, run_id: str, session: Any, kind: DagRunType, start: datetime | None, conf: dict[str, Any]
) -> None:
    """A run as scheduler, backfill or REST make it; `start` is that of the data interval."""
    serialized = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    after = start + timedelta(days=1) if start else datetime.now(UTC)
    serialized.create_dagrun(
        run_id=run_id,
        run_type=kind,
        logical_date=start,
        data_interval=(start, after) if start else None,
        run_after=after,
        conf=conf,
        state=DagRunState.RUNNING,
        triggered_by=DagRunTriggeredByType.TEST,
        session=session,
    )
    session.commit()


@pytest.mark.parametrize(
    ("kind", "day", "conf", "expected"),
    [
        (DagRunType.SCHEDULED, 20, {}, "2026-11-20"),
        (DagRunType.BACKFILL_JOB, 16, {}, "2026-11-16"),
        (DagRunType.MANUAL, None, {"date": "2026-11-03"}, "2026-11-03"),
        (DagRunType.MANUAL, 5, {"date": "2026-11-03"}, "2026-11-03"),
    ],
)
def test_a_run_takes_the_day_of_its_kind(
    dag: Any,
    session: Any,
    stages: Stages,
    new_run_id: str,
    tmp_path: Path,
    kind: DagRunType,
    day: int | None,
    conf: dict[str, Any],
    expected: str,
) -> None:
    start = datetime(2026, 11, day, 2, 30, tzinfo=UTC) if day else None
    create(dag, new_run_id, session, kind, start, conf)
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    run = find_run(tmp_path, "simple_query", new_run_id)
    assert run is not None
    assert run.day.isoformat() == expected
    assert run.run_type == str(kind.value)


def test_a_manual_run_without_a_date_works_on_yesterday(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path
) -> None:
    before = datetime.now(UTC).date()
    assert drive(dag, new_run_id, {}, no_context, session) == "success"
    run = find_run(tmp_path, "simple_query", new_run_id)
    assert run is not None
    assert before - timedelta(days=1) <= run.day <= datetime.now(UTC).date() - timedelta(days=1)


@pytest.mark.parametrize(
    ("kind", "conf"),
    [(DagRunType.SCHEDULED, {"date": "2026-11-03"}), (DagRunType.BACKFILL_JOB, {"date": "2026-11-03"})],
)
def test_a_scheduled_run_refuses_the_parameter(
    dag: Any, session: Any, stages: Stages, new_run_id: str, kind: DagRunType, conf: dict[str, Any]
) -> None:
    day = 7 if kind == DagRunType.SCHEDULED else 8  # one run per logical date
    create(dag, new_run_id, session, kind, datetime(2026, 11, day, 2, 30, tzinfo=UTC), conf)
    assert drive(dag, new_run_id, {}, no_context, session) == "failed"
    assert stages.ran == []


@pytest.mark.parametrize(
    "conf",
    [
        {"rows": -1},
        {"rows": "many"},
        {"min_age": 200},
        {"partitions": 0},
        {"profile": "moon"},
        {"job": ""},
        {"date": "soon"},
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_are_refused(
    dag: Any, session: Any, stages: Stages, new_run_id: str, conf: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="don't fit"):
        drive(dag, new_run_id, conf, no_context, session)
    assert stages.ran == []


def test_a_parameter_that_the_dag_does_not_have_is_refused(
    dag: Any, session: Any, stages: Stages, new_run_id: str
) -> None:
    with pytest.raises(ConfigError, match="has no parameter row"):
        drive(dag, new_run_id, {"row": 5}, no_context, session)


@pytest.mark.parametrize("conf", [{"date": "2099-01-01"}, {"min_age": 50, "max_age": 20}], ids=str)
def test_parameters_that_make_no_sense_fail_the_first_stage(
    dag: Any, session: Any, stages: Stages, new_run_id: str, conf: dict[str, Any]
) -> None:
    assert drive(dag, new_run_id, conf, no_context, session) == "failed"
    assert stages.ran == []


def test_parameters_of_one_run_do_not_reach_the_next(
    dag: Any, session: Any, stages: Stages, new_run_id: str, tmp_path: Path
) -> None:
    assert drive(dag, f"{new_run_id}-1", {"date": "2026-11-03"}, no_context, session) == "success"
    assert drive(dag, f"{new_run_id}-2", {}, no_context, session) == "success"
    second = find_run(tmp_path, "simple_query", f"{new_run_id}-2")
    assert second is not None
    assert second.day.isoformat() != "2026-11-03"

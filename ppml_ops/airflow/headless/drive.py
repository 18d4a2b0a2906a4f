"""Drive one DAG run to its end, or go on with it after a kill. The loop of `dag.test`, on a run that stays.

`dag.test` itself deletes older runs and empties others, so it must never touch a database that matters.
Source of the loop: `airflow.sdk.definitions.dag.DAG.test` of Airflow 3.3.2.
"""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.definitions.dag import _run_task
from sqlalchemy import select
from sqlalchemy.orm import Session

from ppml_ops.errors import ConfigError

#: A context around each try of each task: where its output goes, what is told before and after.
AroundTask = Callable[[Any], AbstractContextManager[None]]
_IDLE_SECONDS = 0.2


def drive(dag: DAG, run_id: str, conf: dict[str, Any], around: AroundTask, session: Session) -> str:
    """Create or resume the run `run_id` and execute its tasks, one at a time, until it ends.

    Returns:
        The run's state: "success" or "failed".

    Raises:
        ConfigError: the parameters don't fit the DAG's.
    """
    from airflow.models.dagrun import DagRun
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.state import DagRunState, TaskInstanceState

    dag = _own_copy(dag)
    serialized = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    wanted = select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id == run_id)
    former = session.scalar(wanted)
    if former is None:
        create_run(serialized, run_id, conf, session)
    else:
        _resume(serialized, former, session)
    run = session.scalars(wanted).one()
    while run.state == DagRunState.RUNNING:
        session.expire_all()
        run.dag = serialized
        ready, _callbacks = run.update_state(session=session)
        for task_instance in ready:
            if task_instance.state != TaskInstanceState.UP_FOR_RESCHEDULE:
                task_instance.try_number += 1
            task_instance.state = TaskInstanceState.SCHEDULED
            task_instance.scheduled_dttm = datetime.now(UTC)
        session.commit()
        scheduled = [
            ti for ti in run.get_task_instances(session=session) if ti.state == TaskInstanceState.SCHEDULED
        ]
        if not scheduled:
            time.sleep(_IDLE_SECONDS)  # a retry waits for its time
        for task_instance in scheduled:
            with around(task_instance):
                _run_task(ti=task_instance, task=dag.task_dict[task_instance.task_id], run_triggerer=True)
    return str(getattr(run.state, "value", run.state))


def _own_copy(dag: DAG) -> DAG:
    """Executing a task writes the run's parameters into those of DAG and task: the next run would have them.

    Copying a DAG copies the parameters of its tasks only one level deep, hence the second copy.
    """
    own = copy.deepcopy(dag)
    for task in own.tasks:
        if isinstance(task, BaseOperator):
            task.params = copy.deepcopy(task.params)
    return own


def identity_of(task_instance: Any) -> tuple[str, str, str, int]:
    """What stays of a task instance when it is to be tried again: its `id` is another one then."""
    return task_instance.dag_id, task_instance.run_id, task_instance.task_id, task_instance.map_index


def state_of(session: Session, identity: tuple[str, str, str, int]) -> tuple[str, str]:
    """State of the task instance ("none": has not run), and which one of a mapped task it is."""
    from airflow.models.taskinstance import TaskInstance

    session.commit()  # end the transaction, so that what others wrote is seen
    state, map_index, rendered = session.execute(
        select(TaskInstance.state, TaskInstance.map_index, TaskInstance._rendered_map_index).where(
            TaskInstance.dag_id == identity[0],
            TaskInstance.run_id == identity[1],
            TaskInstance.task_id == identity[2],
            TaskInstance.map_index == identity[3],
        )
    ).one()
    index = rendered or ("" if map_index < 0 else f"[{map_index}]")
    return str(getattr(state, "value", state) or "none"), index


def create_run(serialized: Any, run_id: str, conf: dict[str, Any], session: Session) -> None:
    """A manual run without logical date, in state running; ConfigError when `conf` does not fit."""
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    unknown = sorted(set(conf) - set(serialized.params))
    if unknown:  # Airflow itself would take them without a word
        raise ConfigError(
            f"DAG {serialized.dag_id} has no parameter {', '.join(unknown)}",
            next_step=f"use these: {', '.join(sorted(serialized.params))}",
        )
    now = datetime.now(UTC)
    try:
        serialized.create_dagrun(
            run_id=run_id,
            run_type=DagRunType.MANUAL,
            logical_date=None,
            run_after=now,
            start_date=now,
            conf=conf,
            state=DagRunState.RUNNING,
            triggered_by=DagRunTriggeredByType.CLI,
            session=session,
        )
    except ValueError as error:
        raise ConfigError(
            f"the parameters don't fit DAG {serialized.dag_id}: {str(error).splitlines()[0]}",
            next_step="correct them; the trigger form shows what each one may be",
        ) from None
    session.commit()


def recover(dag: DAG, run_ids: Sequence[str], session: Session) -> None:
    """Make runs that were killed in the middle ready for a scheduler: what was under way runs again."""
    from airflow.models.dagrun import DagRun
    from airflow.serialization.serialized_objects import DagSerialization

    serialized = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    of_these = select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id.in_(run_ids))
    for run in session.scalars(of_these).all():
        _resume(serialized, run, session)


def _lost_with(serialized: Any, failed: list[str]) -> set[str]:
    """Tasks that must run again although they succeeded: clean_up took away what they left on the nodes.

    gather and merge need the job's parts on the nodes, so submit goes with them.
    """
    if {"gather", "merge"}.isdisjoint(failed):
        return set()
    return {"submit"} & set(serialized.task_dict)


def _resume(serialized: Any, run: Any, session: Session) -> None:
    """Make a former run runnable: what a kill left in the middle, or what failed and all after it."""
    from airflow.utils.state import DagRunState, TaskInstanceState

    interrupted = {
        TaskInstanceState.RUNNING,
        TaskInstanceState.QUEUED,
        TaskInstanceState.SCHEDULED,
        TaskInstanceState.RESTARTING,
        TaskInstanceState.DEFERRED,
    }
    if run.state in (DagRunState.RUNNING, DagRunState.QUEUED):
        for task_instance in run.get_task_instances(session=session):
            if task_instance.state in interrupted:
                task_instance.task = serialized.get_task(task_instance.task_id)
                task_instance.prepare_db_for_next_try(session)
                task_instance.state = None
        run.state = DagRunState.RUNNING
    elif run.state == DagRunState.FAILED:
        failed = [
            ti.task_id
            for ti in run.get_task_instances(session=session)
            if ti.state in (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED)
        ]
        serialized.partial_subset(
            task_ids=set(failed) | _lost_with(serialized, failed),
            include_downstream=True,
            include_upstream=False,
        ).clear(run_id=run.run_id, dag_run_state=DagRunState.RUNNING, session=session)
    session.commit()

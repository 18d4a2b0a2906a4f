"""The frame of every operator: find the run, keep a record, explain errors, retry what a retry can help."""

from datetime import UTC, date, timedelta, tzinfo
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator, Context, ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowSkipException

from ppml_ops.airflow.site import Zone, broker_of, cluster_of
from ppml_ops.datasets.store_errors import store_error
from ppml_ops.errors import ConfigError, PpmlError, TransientError
from ppml_ops.lifecycle.partition import partition_of
from ppml_ops.lifecycle.run import Run, load_run
from ppml_ops.receipts.records import Facts
from ppml_ops.settings import Settings

#: `map_index_template` of mapped stages: Airflow then shows the node or data set in the place of a number.
BY_INDEX = "{{ task.index }}"

#: First match wins. A retry still needs `retries` left.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=[TransientError, ConnectionError], action=RetryAction.RETRY),
        RetryRule(exception=PpmlError, action=RetryAction.FAIL),
    ]
)


class StageOperator(BaseOperator):
    """One stage of the life cycle. Subclasses say their stage and zone and do the work.

    The zone is also the Airflow queue: owner stages go to workers that can resolve the owner's credentials.
    """

    stage: ClassVar[str]
    zone: ClassVar[Zone]
    #: A stage that hangs must not hold a run for ever.
    time_limit: ClassVar[timedelta] = timedelta(hours=6)

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retries", 2)
        kwargs.setdefault("retry_policy", RETRY_POLICY)
        kwargs.setdefault("retry_delay", timedelta(seconds=Settings().retry_delay))
        kwargs.setdefault("retry_exponential_backoff", 2.0)
        kwargs.setdefault("max_retry_delay", timedelta(minutes=10))
        kwargs.setdefault("queue", self.zone)
        kwargs.setdefault("execution_timeout", self.time_limit)
        super().__init__(**kwargs)

    @property
    def index(self) -> str | None:
        """Which one of a mapped stage this is; None for stages that run once."""
        return None

    def execute(self, context: Context) -> Any:
        """Do the stage's work inside its record; log who must act when it fails."""
        try:
            run = self.find_run(context)
            try:
                with run.records.recording(self.stage, self.index) as facts:
                    return self._explained(run, facts, context)
            finally:
                run.close()
        except AirflowSkipException as skip:
            raise ConfigError(
                f"stage {self.stage} was asked to skip ({skip}); no stage may be left out",
                next_step="fail with a clear reason instead",
                who="the author of the DAG",
            ) from None
        except PpmlError as error:
            self.log.error("%s failed: %s", self.stage, error.what)
            self.log.error("To do for %s: %s", error.who, error.next_step)
            raise

    def _explained(self, run: Run, facts: Facts, context: Context) -> Any:
        try:
            return self.work(run, facts, context)
        except (ConnectionError, PpmlError):
            raise
        except Exception as error:
            if (explained := store_error(error, self.stage)) is not None:
                raise explained from error
            if not isinstance(error, OSError):
                raise
            raise ConfigError(
                f"{self.stage} can't use {error.filename or 'a file'}: {error.strerror or error}",
                next_step="check its rights and the free space of its disk, then clear the task",
            ) from error

    def find_run(self, context: Context) -> Run:
        """The run that `open_run` recorded. Raises ConfigError when it has not."""
        asked = asked_run(context)
        run = load_run(asked.home, asked.key)
        return run.model_copy(
            update={"broker": broker_of(run.connections, self.zone), "cluster": cluster_of(run, self.zone)}
        )

    def work(self, run: Run, facts: Facts, context: Context) -> Any:
        """Do the work, put what is proven into `facts`, return a handle or None."""
        raise NotImplementedError


def asked_run(context: Context) -> Run:
    """The run as its DAG run and parameters ask for it; nothing is read or written.

    Raises:
        ConfigError: a parameter that does not fit the kind of run (see `partition_of`).
    """
    dag_run = context["dag_run"]
    params = context["params"]
    settings = Settings()
    run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    day = partition_of(
        _date(params.get("date")),
        run_type,
        dag_run.data_interval_start,
        dag_run.run_after,
        dag_run.logical_date,
        zone_of(context["dag"]),
    )
    return Run(
        home=settings.home,
        storage=settings.storage or str(settings.home / "storage"),
        dag_id=dag_run.dag_id,
        run_id=dag_run.run_id,
        run_type=run_type,
        day=day,
        profile_name=str(params.get("profile") or settings.profile),
    )


def _date(text: Any) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ConfigError(
            f"the parameter `date` is {str(text)[:40]!r}", next_step="write it as YYYY-MM-DD"
        ) from None


def zone_of(dag: Any) -> tzinfo:
    """The time zone of a DAG's timetable: the day of a run is a local day."""
    zone = getattr(getattr(dag, "timetable", None), "timezone", None)
    if isinstance(zone, str):  # Airflow's cron timetables keep the name that they were given
        return ZoneInfo(zone)
    return zone if isinstance(zone, tzinfo) else UTC

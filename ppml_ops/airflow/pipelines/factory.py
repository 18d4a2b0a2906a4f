"""From a pipeline specification to its DAG: the life cycle of dags/simple_query.py around another program."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain

from ppml_ops.airflow.orchestrator import (
    Attest,
    CleanUp,
    Distribute,
    Gather,
    Merge,
    OpenRun,
    Preflight,
    VerifyRun,
)
from ppml_ops.airflow.owner import Decrypt, EncryptUpload, GenerateKey, IssueTicket, RetireTicket, RowCheck
from ppml_ops.airflow.pipelines.spec import PipelineSpec, load_spec
from ppml_ops.airflow.receipt import WriteReceipt
from ppml_ops.airflow.stage import BY_INDEX
from ppml_ops.airflow.submit import Submit
from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.check_result import rows_of_files
from ppml_ops.lifecycle.partition import with_day
from ppml_ops.settings import Settings
from ppml_ops.spark.profiles import profile_names
from ppml_ops.workloads.rows import RowSummary


def pipeline(path: str | Path) -> DAG:
    """The DAG of the specification in `path`. Raises ConfigError when it is wrong."""
    file = Path(path).absolute()
    spec = load_spec(file)
    try:
        dag = build_dag(spec, file.parent)
        dag.validate()  # type: ignore[no-untyped-call]
    except Exception as error:  # Airflow says by many classes what it doesn't take
        raise _mistake(file, f"Airflow does not take it: {str(error).splitlines()[0][:300]}") from error
    return dag


def _mistake(file: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the pipeline specification {file.name} is wrong: {why}",
        next_step="correct it; docs/pipelines.md has the format",
        who="the author of the DAG",
    )


def pipelines(folder: Path) -> dict[str, DAG]:
    """The DAGs of all `*.yaml` files in `folder`, by DAG id.

    A wrong file must neither take the other pipelines away nor its own nights pass in silence: its DAG has the
    name of the file, runs every day, and fails with the reason.
    """
    dags: dict[str, DAG] = {}
    wrong: list[tuple[Path, ConfigError]] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            dag = pipeline(file)
            if dag.dag_id in dags:
                raise _mistake(file, f"it has the DAG id {dag.dag_id} of another pipeline")
            dags[dag.dag_id] = dag
        except ConfigError as error:
            wrong.append((file, error))
    for file, mistake in wrong:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.stem)[:200]
        while name in dags:
            name = f"broken-{name}"
        dags[name] = _broken(name, mistake)
    return dags


def build_dag(spec: PipelineSpec, folder: Path) -> DAG:
    """The life-cycle DAG of `spec`; relative paths in it begin in `folder`."""
    dag = DAG(
        spec.dag,
        description=spec.description,
        schedule=CronDataIntervalTimetable(spec.schedule, spec.timezone) if spec.schedule else None,
        start_date=_midnight(spec.start, spec.timezone),
        catchup=spec.catchup,
        max_active_runs=spec.max_active_runs,
        params=_params(spec),
        tags=["ppml-ops", "spark", *spec.tags],
    )
    reads, writes = [one.dataset for one in spec.inputs], [one.dataset for one in spec.outputs]
    with dag:
        open_run = OpenRun(task_id="open_run")
        preflight = Preflight(task_id="preflight")
        generate_key = GenerateKey(
            task_id="generate_key",
            datasets=[*reads, *writes],
            purpose=spec.purpose,
            export_key=spec.export_key,
        )
        issue_ticket = IssueTicket(
            task_id="issue_ticket",
            name=spec.job_name,
            application=str(folder / spec.job.application),
            arguments=spec.job.arguments,
            reads=reads,
            writes=writes,
            purpose=spec.purpose,
            main=spec.job.main,
            main_class=spec.job.main_class,
            conf=spec.job.conf,
            in_place={one.dataset: one.in_place for one in spec.inputs if one.in_place},
        ).as_setup()  # type: ignore[no-untyped-call]
        pool: dict[str, Any] = {"pool": spec.pool} if spec.pool else {}
        submit = Submit(task_id="submit", **pool)
        verify_run = VerifyRun(task_id="verify_run")
        retire_ticket = RetireTicket(task_id="retire_ticket").as_teardown(setups=issue_ticket)
        clean_up = CleanUp(task_id="clean_up").as_teardown(setups=issue_ticket)
        receipt = WriteReceipt(task_id="receipt").as_teardown(setups=open_run, on_failure_fail_dagrun=True)
        chain(
            open_run, preflight, generate_key, *_encrypt_upload(spec), issue_ticket,
            Distribute(task_id="distribute"), Attest(task_id="attest"), submit,
            Gather.partial(task_id="gather", map_index_template=BY_INDEX).expand(node=submit.output),
            Merge(task_id="merge"),
            Decrypt(
                task_id="decrypt",
                rows={one.dataset: RowCheck(one.columns, _expected(one.expected, one.columns, folder))
                      for one in spec.outputs if one.columns},
                check=str(folder / spec.check) if spec.check else "",
                export_key=spec.export_key,
            ),
            verify_run, [retire_ticket, clean_up], receipt,
        )  # fmt: skip
        verify_run >> receipt
    return dag


def _encrypt_upload(spec: PipelineSpec) -> list[Any]:
    """One task for one input, mapped for several, none when all of them are sealed already."""
    inputs: list[dict[str, Any]] = [
        {
            "dataset": one.dataset,
            "table": one.table,
            "columns": list(one.columns),
            "source": one.source,
            "source_key": one.source_key,
        }
        for one in spec.inputs
        if one.source is not None
    ]
    if len(inputs) > 1:
        return [
            EncryptUpload.partial(task_id="encrypt_upload", map_index_template=BY_INDEX).expand_kwargs(inputs)
        ]
    return [EncryptUpload(task_id="encrypt_upload", **one) for one in inputs]


def _expected(url: str | None, columns: tuple[str, ...], folder: Path) -> Any:
    return partial(_expected_rows, url, columns, folder) if url else None


def _expected_rows(
    url: str, columns: tuple[str, ...], folder: Path, _params: Mapping[str, Any], day: date
) -> RowSummary:
    """The summary of the rows that somebody else has computed."""
    place = with_day(url, day)
    return rows_of_files(place if "://" in place else str(folder / place), columns)


def _params(spec: PipelineSpec) -> dict[str, Param]:
    settings = Settings()
    return {name: Param(**schema) for name, schema in spec.params.items()} | {
        "profile": Param(
            settings.profile, type="string", enum=profile_names(settings.home / "profiles"), title="Profile",
            description="Where the job runs and which TEE it attests.",
        ),
        "date": Param(
            None, type=["null", "string"], format="date", title="Day",
            description="Day of the data, for manual runs. Empty: yesterday.",
        ),
    }  # fmt: skip


def _midnight(day: date | None, zone: str) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) if day else None


def _broken(name: str, error: ConfigError) -> DAG:
    """A DAG that says what is wrong with a pipeline, in Airflow's list and every night."""

    def fail(_params: Mapping[str, Any]) -> None:
        raise error

    with DAG(
        name,
        description=f"BROKEN: {error.what}"[:1000],
        schedule=CronDataIntervalTimetable("0 0 * * *", "UTC"),
        catchup=False,
        tags=["ppml-ops", "broken"],
    ) as dag:
        OpenRun(task_id="open_run", check=fail)
    return dag

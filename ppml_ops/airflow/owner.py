"""Operators of the owner zone: they may hold plaintext and resolve the owner's credentials."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from airflow.sdk import Context

from ppml_ops.airflow.handles import KeysHandle, OpenedHandle, TicketHandle, VersionHandle, version_handle
from ppml_ops.airflow.progress import LogProgress
from ppml_ops.airflow.site import key_service_of
from ppml_ops.airflow.stage import StageOperator
from ppml_ops.lifecycle.check_result import ResultCheck
from ppml_ops.lifecycle.decrypt import Expected, decrypt
from ppml_ops.lifecycle.encrypt_upload import Upload, encrypt_upload
from ppml_ops.lifecycle.generate_key import generate_key
from ppml_ops.lifecycle.issue_ticket import build_job, issue_ticket
from ppml_ops.lifecycle.original import EXPORT, export_result, keys_of_run
from ppml_ops.lifecycle.partition import with_day
from ppml_ops.lifecycle.retire_ticket import retire_ticket
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts
from ppml_ops.workloads.generator import Generator
from ppml_ops.workloads.rows import RowSummary

#: (parameters of the run, its day) → what makes the input, or None when the user brings it.
MakeGenerator = Callable[[Mapping[str, Any], date], Generator | None]
#: (parameters of the run, its day) → what the result must come to, or None when nobody knows.
Expectation = Callable[[Mapping[str, Any], date], RowSummary | None]


class RowCheck(NamedTuple):
    """Columns of a result in the order of the expectation, and what its rows must come to, if that is known."""

    columns: Sequence[str]
    expected: Expectation | None = None

    def of(self, params: Mapping[str, Any], day: date) -> ResultCheck:
        """The check for one run."""
        expect = self.expected
        return ResultCheck(self.columns, (lambda: expect(params, day)) if expect else None)


class OwnerStage(StageOperator):
    """Base of the owner's stages."""

    zone = "owner"


class GenerateKey(OwnerStage):
    """Primary keys and release policies of the data sets, made when absent.

    Args:
        datasets: ids of all data sets of the run.
        purpose: what their policies allow the keys to be used for.
        export_key: that of `Decrypt`, looked at so that a wrong one fails before the work and not after.
    """

    stage = "generate_key"
    template_fields: Sequence[str] = ("export_key",)

    def __init__(self, *, datasets: Sequence[str], purpose: str, export_key: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datasets = list(datasets)
        self.purpose = purpose
        self.export_key = export_key

    def work(self, run: Run, facts: Facts, context: Context) -> KeysHandle:
        """See `ppml_ops.lifecycle.generate_key`."""
        if self.export_key:
            keys_of_run(run, self.export_key)
        service = key_service_of(run.connections)
        keys = generate_key(run, facts, datasets=self.datasets, key_service=service, purpose=self.purpose)
        return KeysHandle(keys=tuple(keys))


class EncryptUpload(OwnerStage):
    """Seal the day's input as a version of a data set, or reuse the one made from the same input.

    Args:
        dataset: id of the data set.
        table: folder inside it: `sealed://<dataset>/<table>`.
        columns: names that a CSV header must have; none: files of any format are sealed as they are.
        source: file, folder or URL of the input, where `{date}` stands for the run's day; empty: the
            generator makes it.
        generator: makes input for runs without a source.
        source_key: the source is a data set of BigDL PPML, and this its primary key: `simple:/folder/name`.
    """

    stage = "encrypt_upload"
    template_fields: Sequence[str] = ("source", "source_key")

    def __init__(
        self,
        *,
        dataset: str,
        table: str,
        columns: Sequence[str] = (),
        source: str = "",
        generator: MakeGenerator | None = None,
        source_key: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.table = table
        self.columns = list(columns)
        self.source = source
        self.generator = generator
        self.source_key = source_key

    @property
    def index(self) -> str:
        """The data set: a run with several inputs maps this stage over them."""
        return self.dataset

    def work(self, run: Run, facts: Facts, context: Context) -> VersionHandle:
        """See `ppml_ops.lifecycle.encrypt_upload`."""
        make = self.generator
        progress = LogProgress(self.log.info, "sealed")
        service = key_service_of(run.connections)
        upload = Upload(run, self.dataset, self.table, self.columns, service, progress)
        generator = make(context["params"], run.day) if make and not self.source else None
        manifest = encrypt_upload(
            upload,
            facts,
            source=with_day(self.source, run.day) or None,
            generator=generator,
            source_key=self.source_key or None,
        )
        return version_handle(manifest)


class IssueTicket(OwnerStage):
    """Sign the job that may use the data. A setup: get-or-create, because every clear runs it again.

    Args:
        name: the job's name.
        application: path of what Spark runs: a `.py` file, a folder with the script `main`, or a `.jar`.
        arguments: its arguments, templated.
        reads: data sets that it reads.
        writes: data sets that it writes; the first one also gets the sealed log.
        purpose: as in the policies of these data sets.
        main: path of the script in a folder.
        main_class: class to run, of a `.jar`.
        conf: Spark settings from the allow-list.
        in_place: URLs of inputs that were sealed before and are read where they lie; `{date}` is the run's day.
    """

    stage = "issue_ticket"
    template_fields: Sequence[str] = ("application", "arguments", "in_place")

    def __init__(
        self,
        *,
        name: str,
        application: str,
        arguments: Sequence[str],
        reads: Sequence[str],
        writes: Sequence[str],
        purpose: str,
        main: str | None = None,
        main_class: str | None = None,
        conf: Mapping[str, str] | None = None,
        in_place: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_name = name
        self.application = application
        self.arguments = list(arguments)
        self.reads = list(reads)
        self.writes = list(writes)
        self.purpose = purpose
        self.main = main
        self.main_class = main_class
        self.conf = dict(conf or {})
        self.in_place = dict(in_place or {})

    def work(self, run: Run, facts: Facts, context: Context) -> TicketHandle:
        """See `ppml_ops.lifecycle.issue_ticket`."""
        application = Path(self.application).absolute()
        job = build_job(
            run,
            name=self.job_name,
            application=application,
            arguments=self.arguments,
            reads=self.reads,
            writes=self.writes,
            main=self.main,
            main_class=self.main_class,
            conf=self.conf,
        )
        service = key_service_of(run.connections)
        ticket = issue_ticket(
            run,
            facts,
            job=job,
            application=application,
            key_service=service,
            purpose=self.purpose,
            in_place=self.in_place,
            job_is_done=_submit_has_succeeded(context),
        )
        return TicketHandle(ticket=ticket, job_digest=job.job_digest)


def _submit_has_succeeded(context: Context) -> bool:
    """Airflow does not mean to run submit (again) in this run: only what follows it was cleared.

    Only decides whether a new ticket is worth issuing; what happened is judged by the records.
    """
    dag_run = context["dag_run"]
    submits = [task.task_id for task in context["dag"].tasks if getattr(task, "stage", None) == "submit"]
    states = (
        context["ti"]
        .get_task_states(dag_id=dag_run.dag_id, task_ids=submits, run_ids=[dag_run.run_id])
        .get(dag_run.run_id, {})
    )
    return bool(submits) and all(states.get(task_id) == "success" for task_id in submits)


class Decrypt(OwnerStage):
    """Open the published results for the recipient and compare them with what must come out.

    Args:
        rows: by data set, how its rows are to be checked; those of other data sets are not read.
        check: path of a script that gets the opened result: `python SCRIPT --day DAY --result FOLDER`.
        export_key: with a key `simple:/folder/name` the result is also written for BigDL PPML.
    """

    stage = "decrypt"
    template_fields: Sequence[str] = ("check", "export_key")

    def __init__(
        self,
        *,
        rows: Mapping[str, RowCheck] | None = None,
        check: str = "",
        export_key: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rows = dict(rows or {})
        self.check = check
        self.export_key = export_key

    def work(self, run: Run, facts: Facts, context: Context) -> OpenedHandle:
        """See `ppml_ops.lifecycle.decrypt`."""
        expected = Expected(
            {dataset: check.of(context["params"], run.day) for dataset, check in self.rows.items()},
            Path(self.check).absolute() if self.check else None,
        )
        opened = decrypt(run, facts, expected=expected, progress=LogProgress(self.log.info, "opened"))
        self.log.info("The result lies in %s (only this user may read it)", run.plaintext / "result")
        if self.export_key:
            facts["export"] = export_result(run, self.export_key)
            self.log.info("For BigDL PPML it lies in %s", run.plaintext / EXPORT)
        return OpenedHandle(rows=opened.rows, matches_expected=opened.matches_expected)


class RetireTicket(OwnerStage):
    """Teardown: the broker releases nothing more for this run."""

    stage = "retire_ticket"

    def work(self, run: Run, facts: Facts, context: Context) -> None:
        """See `ppml_ops.lifecycle.retire_ticket`."""
        retire_ticket(run, facts)

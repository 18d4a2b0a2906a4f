"""Operators of the owner zone: they may hold plaintext and resolve the owner's credentials."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from ppml_ops.airflow.handles import KeysHandle, OpenedHandle, TicketHandle, VersionHandle
from ppml_ops.airflow.progress import LogProgress
from ppml_ops.airflow.stage import StageOperator
from ppml_ops.lifecycle.decrypt import decrypt
from ppml_ops.lifecycle.encrypt_upload import Upload, encrypt_upload
from ppml_ops.lifecycle.generate_key import generate_key
from ppml_ops.lifecycle.issue_ticket import build_job, issue_ticket
from ppml_ops.lifecycle.retire_ticket import retire_ticket
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts
from ppml_ops.settings import Settings
from ppml_ops.workloads.generator import Generator
from ppml_ops.workloads.rows import RowSummary

#: (parameters of the run, its day) → what makes the input, or None when the user brings it.
MakeGenerator = Callable[[Mapping[str, Any], date], Generator | None]
#: (parameters of the run, its day) → what the result must come to, or None when nobody knows.
Expectation = Callable[[Mapping[str, Any], date], RowSummary | None]


class OwnerStage(StageOperator):
    """Base of the owner's stages."""

    zone = "owner"


class GenerateKey(OwnerStage):
    """Primary keys and release policies of the data sets, made when absent.

    Args:
        datasets: ids of all data sets of the run.
        purpose: what their policies allow the keys to be used for.
    """

    stage = "generate_key"

    def __init__(self, *, datasets: Sequence[str], purpose: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datasets = list(datasets)
        self.purpose = purpose

    def work(self, run: Run, facts: Facts, context: Context) -> KeysHandle:
        """See `ppml_ops.lifecycle.generate_key`."""
        service = Settings().key_service
        keys = generate_key(run, facts, datasets=self.datasets, key_service=service, purpose=self.purpose)
        return KeysHandle(keys=tuple(keys))


class EncryptUpload(OwnerStage):
    """Seal the day's input as a version of a data set, or reuse the one made from the same input.

    Args:
        dataset: id of the data set.
        table: folder inside it: `sealed://<dataset>/<table>`.
        columns: names that a CSV header must have.
        source: file, folder or URL of the input; empty: the generator makes it.
        generator: makes input for runs without a source.
    """

    stage = "encrypt_upload"
    template_fields: Sequence[str] = ("source",)

    def __init__(
        self,
        *,
        dataset: str,
        table: str,
        columns: Sequence[str],
        source: str = "",
        generator: MakeGenerator | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.table = table
        self.columns = list(columns)
        self.source = source
        self.generator = generator

    def work(self, run: Run, facts: Facts, context: Context) -> VersionHandle:
        """See `ppml_ops.lifecycle.encrypt_upload`."""
        make = self.generator
        progress = LogProgress(self.log.info, "sealed")
        upload = Upload(run, self.dataset, self.table, self.columns, Settings().key_service, progress)
        generator = make(context["params"], run.day) if make and not self.source else None
        manifest = encrypt_upload(upload, facts, source=self.source or None, generator=generator)
        return VersionHandle(
            dataset=manifest.dataset,
            version=manifest.version,
            manifest_digest=manifest.digest,
            parts=len(manifest.parts),
        )


class IssueTicket(OwnerStage):
    """Sign the job that may use the data. A setup: get-or-create, because every clear runs it again.

    Args:
        name: the job's name.
        application: path of the `.py` file that Spark runs.
        arguments: its arguments, templated.
        reads: data sets that it reads.
        writes: data set that it writes.
        purpose: as in the policies of these data sets.
    """

    stage = "issue_ticket"
    template_fields: Sequence[str] = ("application", "arguments")

    def __init__(
        self,
        *,
        name: str,
        application: str,
        arguments: Sequence[str],
        reads: Sequence[str],
        writes: str,
        purpose: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_name = name
        self.application = application
        self.arguments = list(arguments)
        self.reads = list(reads)
        self.writes = writes
        self.purpose = purpose

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
        )
        service = Settings().key_service
        ticket = issue_ticket(
            run,
            facts,
            job=job,
            application=application,
            key_service=service,
            purpose=self.purpose,
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
    """Open the published result for the recipient and compare it with what must come out.

    Args:
        columns: of the result, in the order of the expectation; empty: the rows are not read.
        expected: what the result must come to, where that is known.
    """

    stage = "decrypt"

    def __init__(
        self, *, columns: Sequence[str] = (), expected: Expectation | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.columns = list(columns)
        self.expected = expected

    def work(self, run: Run, facts: Facts, context: Context) -> OpenedHandle:
        """See `ppml_ops.lifecycle.decrypt`."""
        expect = self.expected
        opened = decrypt(
            run,
            facts,
            columns=self.columns,
            expected=(lambda: expect(context["params"], run.day)) if expect else None,
            progress=LogProgress(self.log.info, "opened"),
        )
        self.log.info("The result lies in %s (only this user may read it)", run.plaintext / "result")
        return OpenedHandle(
            rows=opened.summary.rows if opened.summary else None, matches_expected=opened.matches_expected
        )


class RetireTicket(OwnerStage):
    """Teardown: the broker releases nothing more for this run."""

    stage = "retire_ticket"

    def work(self, run: Run, facts: Facts, context: Context) -> None:
        """See `ppml_ops.lifecycle.retire_ticket`."""
        retire_ticket(run, facts)

"""A run of the life cycle without Airflow, stage by stage, so that a test can tamper between two stages."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.unseal import open_version
from ppml_ops.errors import PpmlError
from ppml_ops.lifecycle.attest import attest
from ppml_ops.lifecycle.backends import Handle, backend_of
from ppml_ops.lifecycle.check_result import ResultCheck
from ppml_ops.lifecycle.clean_up import clean_up
from ppml_ops.lifecycle.data_keys import open_data_key
from ppml_ops.lifecycle.decrypt import Expected, decrypt
from ppml_ops.lifecycle.distribute import distribute
from ppml_ops.lifecycle.encrypt_upload import Upload, encrypt_upload
from ppml_ops.lifecycle.evidence import collect_evidence
from ppml_ops.lifecycle.gather import gather
from ppml_ops.lifecycle.generate_key import generate_key
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.issue_ticket import build_job, issue_ticket
from ppml_ops.lifecycle.merge import merge
from ppml_ops.lifecycle.open_run import open_run
from ppml_ops.lifecycle.original import export_result
from ppml_ops.lifecycle.preflight import preflight
from ppml_ops.lifecycle.retire_ticket import retire_ticket
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.submit import submit
from ppml_ops.lifecycle.tickets import current_ticket, ticket_path
from ppml_ops.lifecycle.verify_run import verify_run
from ppml_ops.receipts.receipt import Receipt, write_receipt
from ppml_ops.receipts.records import Facts
from ppml_ops.receipts.signer import receipt_signer
from ppml_ops.workloads import path_of
from ppml_ops.workloads.people import expected_people, people_generator
from tests.support.people import Rows, read_rows

PEOPLE, RESULT = "sim-people", "sim-simple-query"
PURPOSE = "simple-query"
COLUMNS = ("name", "age", "job")
KEY_SERVICE = "broker:"
STAGES = (
    "open_run", "preflight", "generate_key", "encrypt_upload", "issue_ticket", "distribute", "attest", "submit",
    "gather", "merge", "decrypt", "verify_run",
)  # fmt: skip


class LifeCycle:
    """One run of SimpleQuery; the stages are those of dags/simple_query.py.

    Args:
        home: state folder with running services.
        day: partition; tests that use days of their own don't meet.
        name: the run id.
        people: data set that is read.
        result: data set that is written.
        application: the script that Spark runs.
        source: own input; empty: people are generated.
        profile: platform profile.
        params: parameters of the DAG that differ from its defaults.
    """

    def __init__(
        self,
        home: Path,
        day: date,
        *,
        name: str = "run",
        people: str = PEOPLE,
        result: str = RESULT,
        application: Path | None = None,
        source: str = "",
        profile: str = "local",
        **params: Any,
    ) -> None:
        self.params = {
            "rows": 200, "seed": 1, "min_age": 20, "max_age": 40, "job": "Developer", "partitions": 2,
            "input_url": source or None,
        } | params  # fmt: skip
        self.run = Run(
            home=home,
            storage=str(home / "storage"),
            dag_id="e2e",
            run_id=name,
            run_type="manual",
            day=day,
            profile_name=profile,
        )
        self.people, self.result = people, result
        self.application = application or path_of("simple_query.py")
        self.source = source
        self.lines: list[str] = []
        self.started: Callable[[Handle], None] = lambda _running: None
        self.versions_before = self.run.dataset(result).versions()
        self.job_is_done = (
            False  # as issue_ticket's operator finds out: submit has succeeded and is not cleared
        )
        self._done = 0

    # -- going on ----------------------------------------------------------------------------------------

    def to(self, stage: str) -> "LifeCycle":
        """Run all stages that have not run yet up to `stage`, and it too."""
        while self._done <= STAGES.index(stage):
            self.stage(STAGES[self._done])
            self._done += 1
        return self

    def finish(self) -> Receipt:
        """The rest of the run and its teardowns, which must not fail."""
        self.to(STAGES[-1])
        self.stage("retire_ticket")
        self.stage("clean_up")
        return self.receipt()

    def tear_down(self) -> Receipt:
        """The teardowns and the receipt of a run that has failed somewhere."""
        for stage in ("retire_ticket", "clean_up"):
            with suppress(PpmlError):  # of a run that got no ticket
                self.stage(stage)
        return self.receipt()

    def receipt(self) -> Receipt:
        """Judge the records."""
        run = self.run
        evidence = collect_evidence(run)
        return write_receipt(
            run.folder, run.records, run.identity, evidence, receipt_signer(run.home), now=time.time()
        )

    def stage(self, stage: str) -> None:
        """Run one stage in its record, as its operator does."""
        if stage == "open_run":
            self.run.save()
        if stage == "gather":
            for node in self.run.records.facts("submit")["nodes"]:
                with self.run.records.recording("gather", node) as facts:
                    gather(self.run, facts, node=node)
            return
        with self.run.records.recording(stage, self.people if stage == "encrypt_upload" else None) as facts:
            getattr(self, f"_{stage}")(facts)

    # -- what tests look at and change -------------------------------------------------------------------

    @property
    def store(self) -> DatasetStore:
        """The sealed input of this day in the storage."""
        return self.run.dataset(self.people)

    @property
    def results(self) -> DatasetStore:
        """The sealed results of this day."""
        return self.run.dataset(self.result)

    @property
    def ticket(self) -> Path:
        """File of the current ticket."""
        return ticket_path(self.run, current_ticket(self.run))

    def input_rows(self, target: Path) -> Rows:
        """The rows of the newest sealed input, opened into the new folder `target`."""
        manifest = self.store.read()
        key = open_data_key(self.run.home, manifest)
        return read_rows(open_version(self.store, manifest, key, target))

    def result_rows(self) -> Rows:
        """The rows that the owner got."""
        return read_rows((self.run.plaintext / "result").rglob("*.csv"))

    def audit(self, event: str) -> list[dict[str, Any]]:
        """The broker's audit records of one kind about this run."""
        lines = (self.run.home / "broker" / "audit.jsonl").read_bytes().splitlines()
        bodies = [json.loads(line)["body"] for line in lines]
        return [body for body in bodies if body["event"] == event and body.get("run_key") == self.run.key]

    def traces(self) -> list[str]:
        """What a run that got no result has left behind and must not: keys, results, processes, plaintext."""
        found = [f"the broker released a key: {body['seq']}" for body in self.audit("release")]
        if self.results.versions() != self.versions_before:
            found.append(f"versions of the result: {self.results.versions()}")
        latest = self.results.latest()
        named = {part.path for part in latest.parts} if latest else set()
        found += [
            f"in the result data set: {path}"
            for path in self.results.folder.files()
            if path not in named and not path.startswith(("_manifest/", "_logs/", "_reserved/"))
        ]
        found += [f"{g.name} lives" for g in generations(self.run) if backend_of(self.run).alive(g)]
        found += [f"on {node}" for node in self.run.profile.nodes if self.run.nodes.folder(node).files()]
        found += [str(path) for path in self.run.plaintext.rglob("*") if path.is_file()]
        found += [str(path) for path in self.run.folder.glob("g*/work")]
        return found

    # -- the stages --------------------------------------------------------------------------------------

    def _open_run(self, facts: Facts) -> None:
        open_run(self.run, facts)

    def _preflight(self, facts: Facts) -> None:
        preflight(self.run, facts)

    def _generate_key(self, facts: Facts) -> None:
        generate_key(
            self.run, facts, datasets=[self.people, self.result], key_service=KEY_SERVICE, purpose=PURPOSE
        )

    def _encrypt_upload(self, facts: Facts) -> None:
        encrypt_upload(
            Upload(self.run, self.people, "people", COLUMNS, KEY_SERVICE),
            facts,
            source=self.source or None,
            source_key=self.params.get("input_key"),
            generator=None if self.source else people_generator(self.params, self.run.day),
        )

    def _issue_ticket(self, facts: Facts) -> None:
        job = build_job(
            self.run, name="simple-query", application=self.application, reads=[self.people],
            writes=[self.result], arguments=[
                "--input", f"sealed://{self.people}/people", "--output", f"sealed://{self.result}/result",
                "--min-age", str(self.params["min_age"]), "--max-age", str(self.params["max_age"]),
                "--job", str(self.params["job"]), "--partitions", str(self.params["partitions"]),
            ],
        )  # fmt: skip
        issue_ticket(
            self.run,
            facts,
            job=job,
            application=self.application,
            key_service=KEY_SERVICE,
            purpose=PURPOSE,
            job_is_done=self.job_is_done,
        )

    def _distribute(self, facts: Facts) -> None:
        distribute(self.run, facts)

    def _attest(self, facts: Facts) -> None:
        attest(self.run, facts)

    def _submit(self, facts: Facts) -> None:
        submit(self.run, facts, on_line=self.lines.append, started=lambda running: self.started(running))

    def _merge(self, facts: Facts) -> None:
        merge(self.run, facts)

    def _decrypt(self, facts: Facts) -> None:
        check = ResultCheck(COLUMNS, lambda: expected_people(self.params, self.run.day))
        decrypt(self.run, facts, expected=Expected({self.result: check}))
        if self.params.get("export_key"):
            facts["export"] = export_result(self.run, self.params["export_key"])

    def _verify_run(self, facts: Facts) -> None:
        verify_run(self.run, facts)

    def _retire_ticket(self, facts: Facts) -> None:
        retire_ticket(self.run, facts)

    def _clean_up(self, facts: Facts) -> None:
        clean_up(self.run, facts)

"""Stage records: one small JSON file per stage of a run, written when the stage ends, well or badly.

Receipts are built from these files, never from Airflow's task states, which a person can set by hand.
A record holds handles, digests, counts and times; no key, no plaintext.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, IntegrityError, PpmlError
from ppml_ops.files import private_dir, write_private

Facts = dict[str, Any]


class Failure(BaseModel):
    """Why a stage failed, as the error said it. Foreign exceptions are named by class only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    what: str
    who: str
    next_step: str


class StageRecord(BaseModel):
    """One execution of one stage. Times are Unix seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    index: str | None = Field(None, description="The node, for a stage that runs once a node.")
    outcome: Literal["done", "failed"]
    started: float
    finished: float
    failure: Failure | None = None
    facts: dict[str, JsonValue] = {}

    @property
    def name(self) -> str:
        """`gather@node-a`, or just the stage."""
        return self.stage if self.index is None else f"{self.stage}@{self.index}"


class GoesOnError(BaseException):
    """Raised inside a stage that goes on in another process: nothing has ended, so nothing is recorded."""


class Records:
    """The records of one run in their folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> dict[str, StageRecord]:
        """The last record of each stage by name, in order of their end.

        Raises:
            IntegrityError: a file there is not a record.
        """
        found = [self._read(path) for path in self._folder.glob("*.json")]
        return {record.name: record for record in sorted(found, key=lambda record: record.finished)}

    def _read(self, path: Path) -> StageRecord:
        try:
            return StageRecord.model_validate_json(path.read_bytes())
        except ValidationError:
            raise IntegrityError(
                f"the stage record {path.name} can't be read",
                next_step="remove it and clear that stage",
                who="the operator",
            ) from None

    def facts(self, stage: str, index: str | None = None) -> Facts:
        """What a finished stage recorded.

        Raises:
            ConfigError: the stage has not finished in this run; marking its task *success* does not help.
        """
        name = stage if index is None else f"{stage}@{index}"
        path = self._folder / f"{name}.json"
        record = self._read(path) if path.exists() else None
        if record is None or record.outcome != "done":
            raise ConfigError(
                f"stage {name} has {'failed' if record else 'not run'} in this run: nothing to go on from",
                next_step=f"clear the task `{stage}` (setting its state by hand does no work)",
            )
        return record.facts

    @contextmanager
    def recording(self, stage: str, index: str | None = None) -> Iterator[Facts]:
        """Run a stage inside; what it puts into the dictionary becomes the facts of its record."""
        facts: Facts = {}
        started = time.time()
        try:
            yield facts
        except GoesOnError:
            raise
        except BaseException as error:
            failure = _failure(error)
            self._write(_record(stage, index, started, facts, failure))
            raise
        self._write(_record(stage, index, started, facts, None))

    def _write(self, record: StageRecord) -> None:
        try:
            private_dir(self._folder)
            write_private(self._folder / f"{record.name}.json", canonical_json(record.model_dump(mode="json")))
        except OSError as error:
            if record.failure is None:  # else the stage's own error is the one to show
                raise ConfigError(
                    f"the record of {record.name} can't be written: {error.strerror}",
                    next_step="make the state folder writable and clear the task",
                ) from None


def _record(
    stage: str, index: str | None, started: float, facts: Facts, failure: Failure | None
) -> StageRecord:
    return StageRecord(
        stage=stage,
        index=index,
        outcome="failed" if failure else "done",
        started=started,
        finished=time.time(),
        failure=failure,
        facts=json.loads(canonical_json(facts)),
    )


def _failure(error: BaseException) -> Failure:
    if isinstance(error, PpmlError):
        return Failure(kind=type(error).__name__, what=error.what, who=error.who, next_step=error.next_step)
    return Failure(
        kind=type(error).__name__,
        what="the stage ended by an exception that is not one of ours",
        who="the operator",
        next_step="read the task's log; if the reason is not clear, report it as a bug",
    )

"""What came of a job: pure, from its exit code and life-cycle lines."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.store import MANIFESTS
from ppml_ops.errors import PpmlError, TransientError, WorkloadError, error_from_exit_code
from ppml_ops.spark.job import SparkJob

_REFUSAL = re.compile(r"^PPML-[A-Z]+: (.*?)(?: \[([^\[\]]{1,80}?): ([^\[\]]*)\])?$")
_ERROR_CLASS = re.compile(r"^error class (.*)$")
_MAX_CLASSES = 5
LOGS = "read what it printed: `ppml-ops data logs RUN` (needs the key of the output data set)"


@dataclass(frozen=True)
class Outcome:
    """How a generation ended; `exit_code` is None when it left no record: killed, or host down."""

    exit_code: int | None
    application_id: str | None
    seconds: float
    lines: tuple[str, ...]


def failure_of(outcome: Outcome, name: str, ended_because: str | None = None) -> PpmlError | None:
    """The error that a finished job stands for; None when it ended well.

    Args:
        name: of the job, for the message.
        ended_because: why we ended it, if we did.
    """
    if ended_because is not None:
        return WorkloadError(f"{name} did not finish: {ended_because}", next_step=LOGS)
    if outcome.exit_code == 0:
        return None
    if outcome.exit_code is None:
        return TransientError(
            f"{name} went away without an exit record: killed, or the host went down",
            next_step="begin a new generation; if it happens again, look at the host's memory",
        )
    for line in reversed(outcome.lines):
        if (refused := refusal(outcome.exit_code, line, name)) is not None:
            return refused
    classes = [hit[1] for line in outcome.lines if (hit := _ERROR_CLASS.match(line))]
    shown = f" with {', '.join(classes[-_MAX_CLASSES:])}" if classes else ""
    return error_from_exit_code(
        outcome.exit_code, f"{name} failed{shown} (exit code {outcome.exit_code})", next_step=LOGS
    )


def refusal(exit_code: int, line: str, name: str) -> PpmlError | None:
    """The error behind a line `PPML-DENIED: what [who: next step]`; None for other lines."""
    if not (hit := _REFUSAL.match(line)):
        return None
    return error_from_exit_code(exit_code, f"{name}: {hit[1]}", next_step=hit[3] or LOGS, who=hit[2])


def unpublished(
    job: SparkJob, versions: Mapping[str, int], folder_of: Callable[[str], AnyFolder]
) -> PpmlError | None:
    """The error for a job that ended well without its results; None when every expected manifest is there.

    Args:
        versions: of each written data set the version that was to be published.
        folder_of: where the driver publishes a data set.
    """
    for dataset in job.written:
        if f"{versions[dataset]}.json" not in folder_of(dataset).names(MANIFESTS):
            return WorkloadError(
                f"job {job.name!r} ended well but published no version {versions[dataset]} "
                f"of data set {dataset}",
                next_step=f"check that it writes to sealed://{dataset}/…",
            )
    return None

"""The driver's part inside the TEE, the same on a host and in a pod: spark-submit, sealed log, outputs."""

import signal
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ppml_ops.errors import DeniedError
from ppml_ops.files import private_dir, write_private
from ppml_ops.spark.conditions import error_conditions
from ppml_ops.spark.inside import ENDED_ON_REQUEST, Voice, Work
from ppml_ops.spark.logfilter import LifeCycle, exit_code
from ppml_ops.spark.render import LOG4J, Submission, code_copy
from ppml_ops.spark.runner import CodeChangedError, verified_copy
from ppml_ops.spark.sealedlog import SealedLog, log_path
from ppml_ops.spark.supervisor import Supervisor

if TYPE_CHECKING:
    from ppml_ops.spark.outputs import Output

WORK_FOLDERS = ("", "conf", "home", "local", "tmp", "warehouse")
#: What Spark's driver ends with when more executors failed than the profile allows.
_EXECUTORS_FAILED = 11
#: The line about it; whoever follows the driver looks for it.
EXECUTORS_FAILED = "executors failed more often than the profile allows; their pods say why"


def prepare(work: Work, submission: Submission) -> None:
    """Make the private work folders, Spark's configuration files, and the copy of a jar that will run.

    Raises:
        DeniedError: what lies there is not the job's code.
    """
    for name in WORK_FOLDERS:
        private_dir(work.folder / "work" / name)
    write_private(work.folder / "work/conf/spark-defaults.conf", submission.defaults().encode("ascii"))
    write_private(work.folder / "work/conf/log4j2.properties", LOG4J.encode("ascii"))
    if work.job.code.main_class:  # of a script the runner takes the copy itself
        _copy_jar(work)


def _copy_jar(work: Work) -> None:
    """The very bytes that the job names, in a folder that was made just now."""
    code = work.job.code
    target = Path(code_copy(PurePosixPath(work.folder)))
    try:
        verified_copy(Path(work.config.code), code.main, code.digest, target)
    except CodeChangedError:
        raise DeniedError(
            "the code changed between its measurement and its start",
            next_step="find out who writes to the folders of runs, then begin a new generation",
            who="the operator",
        ) from None


def drive(
    work: Work,
    written: dict[str, "Output"],
    submission: Submission,
    spark_home: Path,
    say: Voice,
    *,
    clear: bool,
) -> int:
    """Run spark-submit to its end, then see to the outputs; returns the exit code.

    Args:
        work: what is to run, prepared.
        written: the data sets that it may write; the first one holds the sealed log.
        submission: what to start.
        spark_home: where Spark's list of error conditions lies.
        say: shows life-cycle lines.
        clear: show all lines.

    Raises:
        PpmlError: before Spark started, or for files that no manifest lists.
    """
    from ppml_ops.spark.outputs import reconcile

    first = next(iter(written.values()))
    life = LifeCycle(error_conditions(spark_home))
    path = log_path(work.binding(first.dataset), work.config.generation)
    with SealedLog(path, first.key, first.dataset) as log:
        supervisor = Supervisor(submission, log, life, say, grace=work.profile.stop_grace, clear=clear)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, supervisor.ask_to_end)
        submit = supervisor.run(work.folder / "work")
    if supervisor.asked_to_end:
        return ENDED_ON_REQUEST
    if submit == _EXECUTORS_FAILED:
        say(EXECUTORS_FAILED)
    code = exit_code(submit, life.ppml_class)
    if code == 0:
        for name, output in written.items():
            if adopted := reconcile(work.binding(name), output):
                say(f"data set {name}: {len(adopted)} parts of RDD writers published")
    return code

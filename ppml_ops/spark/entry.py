"""The TEE's entry point in local mode: fetches keys, runs spark-submit, seals its output, says how it ended.

    python -I -m ppml_ops.spark.entry agent.json

Beside agent.json lie job.json and profile.json. Spark's settings are made here, from the measured job, so that
the orchestrator can't hand in others. Standard output gets life-cycle lines only (`ppml_ops.spark.logfilter`),
`exit.json` the exit code: 0, 70 the workload failed, 65 and 75 to 78 as in `ppml_ops.errors`, 143 ended on
request.
"""

import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ppml_ops.canonical import b64d
from ppml_ops.errors import ConfigError, DeniedError
from ppml_ops.files import private_dir, write_private
from ppml_ops.spark.agent import one_line, read_config, release
from ppml_ops.spark.conditions import error_conditions
from ppml_ops.spark.job import MAX_JOB_BYTES, SparkJob, parse_job
from ppml_ops.spark.logfilter import EXIT_OF_CLASS, LifeCycle, exit_code, printable
from ppml_ops.spark.placement import AgentConfig, Binding, PlatformDevice, SocketDevice
from ppml_ops.spark.platform_client import PlatformClient
from ppml_ops.spark.process import ProcessRecord, adopt_orphans
from ppml_ops.spark.profiles import Profile
from ppml_ops.spark.render import LOG4J, Submission, Tools, code_copy, render_local
from ppml_ops.spark.runner import CodeChangedError, verified_copy
from ppml_ops.spark.running import TD
from ppml_ops.spark.sealedlog import SealedLog, log_path
from ppml_ops.spark.supervisor import Supervisor
from ppml_ops.spark.tools import installed_tools, make_socket_folder

if TYPE_CHECKING:
    from ppml_ops.broker.bundle import KeyBundle
    from ppml_ops.spark.outputs import Output

ENDED_ON_REQUEST = 143
_RECORD_SECONDS = 10.0
_CLASS_OF_EXIT = {code: name for name, code in EXIT_OF_CLASS.items()} | {65: "PPML-DATA", 70: "PPML-WORKLOAD"}


@dataclass(frozen=True)
class Work:
    """What the entry point knows before it has a key."""

    config: AgentConfig
    job: SparkJob
    profile: Profile
    folder: Path

    def binding(self, dataset: str) -> Binding:
        """The folders of one data set.

        Raises:
            ConfigError: the placement does not bind it.
        """
        for binding in self.config.bindings:
            if binding.dataset == dataset:
                return binding
        raise ConfigError(
            f"the placement has no folder for data set {dataset!r}",
            next_step="place the data set on the nodes and begin a new generation",
        )


def say(line: str) -> None:
    """One life-cycle line; a reader that has gone must not end the job."""
    with suppress(OSError, ValueError):
        sys.stdout.write(printable(line) + "\n")
        sys.stdout.flush()


def load(agent_json: Path) -> Work:
    """Read agent.json and its neighbours.

    Raises:
        ConfigError: a file is missing or not valid.
    """
    config = read_config(agent_json)
    try:
        with Path(config.job).open("rb") as file:
            job = parse_job(file.read(MAX_JOB_BYTES + 1))
        profile = Profile.model_validate_json((agent_json.parent / "profile.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"job.json or profile.json can't be read ({type(error).__name__})",
            next_step="begin a new generation of the job",
        ) from None
    return Work(config, job, profile, agent_json.parent)


def enter_td(work: Work) -> Work:
    """Ask a simulated platform for the TD of this very process, and write its socket into agent.json.

    It is this process that owns the TD, so only what it starts is inside, and the TD lives as long as the job,
    whatever becomes of the launcher. Other devices are there already.

    Raises:
        TransientError, ConfigError: see `PlatformClient`.
    """
    device = work.config.device
    if not isinstance(device, PlatformDevice):
        return work
    made = PlatformClient(Path(device.path)).create_td(
        work.config.generation, Path(work.config.job), Path(work.config.code)
    )
    write_private(work.folder / TD, json.dumps({"td": made.td}).encode())
    config = work.config.model_copy(update={"device": SocketDevice(path=made.socket)})
    write_private(work.folder / "agent.json", config.encode())
    return replace(work, config=config)


def prepare(work: Work, tools: Tools) -> Submission:
    """Make the private work folders and Spark's configuration files; returns what to start."""
    for name in ("", "conf", "home", "local", "tmp", "warehouse"):
        private_dir(work.folder / "work" / name)
    submission = render_local(
        work.job,
        work.profile,
        work.config.placement(str(work.folder)),
        tools,
        sockets=str(make_socket_folder(work.folder)),
    )
    write_private(work.folder / "work/conf/spark-defaults.conf", submission.defaults().encode("ascii"))
    write_private(work.folder / "work/conf/log4j2.properties", LOG4J.encode("ascii"))
    if work.job.code.main_class:  # of a script the runner takes the copy itself
        _copy_jar(work)
    return submission


def _copy_jar(work: Work) -> None:
    """The very bytes that the job names, in a folder that was made just now.

    Raises:
        DeniedError: what lies there is not the job's code.
    """
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


def outputs(bundle: "KeyBundle") -> dict[str, "Output"]:
    """The written data sets of a released bundle."""
    from ppml_ops.spark.outputs import Output

    return {
        item["dataset"]: Output(item["dataset"], b64d(item["key"]), item["version"], item["manifest"])
        for item in bundle.model_dump(mode="json")["datasets"]
        if item["mode"] == "write"
    }


def run(work: Work) -> int:
    """Keys, sealed log, Spark, outputs; returns the exit code.

    Raises:
        PpmlError: before Spark started, or for files that no manifest lists.
    """
    from ppml_ops.spark.outputs import reconcile

    tools = installed_tools()
    bundle = release(work.config, work.job.job_digest)
    written = outputs(bundle)
    if work.job.written[0] not in written:
        raise ConfigError(
            f"the ticket releases no key for writing {work.job.written[0]!r}",
            next_step="issue a ticket for the data sets of this job",
        )
    first = written[work.job.written[0]]
    submission = prepare(work, tools)
    life = LifeCycle(error_conditions(Path(tools.spark_home)))
    path = log_path(work.binding(first.dataset).bases[0], work.config.generation)
    with SealedLog(path, first.key, first.dataset) as log:
        supervisor = Supervisor(
            submission,
            log,
            life,
            say,
            grace=work.profile.stop_grace,
            clear=bundle.clear_logs,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, supervisor.ask_to_end)
        code = exit_code(supervisor.run(work.folder / "work"), life.ppml_class)
    if supervisor.asked_to_end:
        return ENDED_ON_REQUEST
    if code == 0:
        for name, output in written.items():
            if adopted := reconcile(work.binding(name), output):
                say(f"data set {name}: {len(adopted)} parts of RDD writers published")
    return code


def _wait_for_record(path: Path) -> None:
    """Do nothing before `process.json` names this process: what nobody can find again must not run a job."""
    deadline = time.monotonic() + _RECORD_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, ValidationError):
            if ProcessRecord.model_validate_json(path.read_bytes()) == ProcessRecord.of(os.getpid()):
                return
        time.sleep(0.01)
    raise ConfigError(
        f"the launcher has not recorded this process in {path}", next_step="begin a new generation of the job"
    )


def _harden() -> None:
    """No core dumps, nothing readable by others, no process of user code out of reach."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    adopt_orphans()


def main(arguments: list[str]) -> int:
    """Run once; returns the exit code, which `exit.json` holds too."""
    agent_json = Path(arguments[0]).absolute()
    _harden()
    try:
        _wait_for_record(agent_json.with_name("process.json"))
        code = run(enter_td(load(agent_json)))
    except Exception as error:  # noqa: BLE001  # the boundary: class and next step only, never a traceback
        line, code = one_line(error)
        say(f"{_CLASS_OF_EXIT[code]}: {line}")
    say(f"exit code {code}")
    write_private(agent_json.with_name("exit.json"), json.dumps({"exit_code": code}).encode())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

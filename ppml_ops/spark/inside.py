"""What every process of a job does first inside the TEE, in local mode and in pods: read, enter a TD, say."""

import json
import os
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ppml_ops.canonical import b64d
from ppml_ops.errors import ConfigError
from ppml_ops.files import write_private
from ppml_ops.spark.agent import BUNDLE_DIGEST, bundle_digest, one_line, read_config, release
from ppml_ops.spark.job import MAX_JOB_BYTES, SparkJob, parse_job
from ppml_ops.spark.logfilter import EXIT_OF_CLASS, printable
from ppml_ops.spark.placement import AgentConfig, Binding, PlatformDevice, SocketDevice, check_spread
from ppml_ops.spark.platform_client import PlatformClient
from ppml_ops.spark.process import adopt_orphans
from ppml_ops.spark.profiles import Profile
from ppml_ops.spark.running import TD

if TYPE_CHECKING:
    from ppml_ops.broker.bundle import KeyBundle
    from ppml_ops.spark.outputs import Output

ENDED_ON_REQUEST = 143
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


class Voice:
    """Shows life-cycle lines and remembers the one that tells most about a bad end."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def __call__(self, line: str) -> None:
        """One line on standard output; a reader that has gone must not end the job."""
        text = printable(line)
        refused = self.reason is not None and self.reason.startswith("PPML-")
        if text.startswith("PPML-") or (text.startswith("error class ") and not refused):
            self.reason = text
        with suppress(OSError, ValueError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def refusal(self, error: BaseException) -> int:
        """Say why it ended before it began; returns the exit code."""
        line, code = one_line(error)
        self(f"{_CLASS_OF_EXIT[code]}: {line}")
        return code


def load(agent_json: Path) -> Work:
    """Read agent.json and its neighbours.

    Raises:
        ConfigError: a file is missing or not valid.
        DeniedError: folders are bound otherwise than the job says.
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
    check_spread(job, config.bindings)
    return Work(config, job, profile, agent_json.parent)


def enter_td(work: Work, name: str | None = None) -> Work:
    """Ask a simulated platform for the TD of this very process, and write its socket into agent.json.

    It is this process that owns the TD, so only what it starts is inside, and the TD lives as long as the job,
    whatever becomes of the launcher. Other devices are there already.

    Args:
        work: what is to run.
        name: of the TD; default: the generation. Each pod has a TD of its own.

    Raises:
        TransientError, ConfigError: see `PlatformClient`.
    """
    device = work.config.device
    if not isinstance(device, PlatformDevice):
        return work
    made = PlatformClient(Path(device.path)).create_td(
        name or work.config.generation, Path(work.config.job), Path(work.config.code)
    )
    write_private(work.folder / TD, json.dumps({"td": made.td}).encode())
    config = work.config.model_copy(update={"device": SocketDevice(path=made.socket)})
    write_private(work.folder / "agent.json", config.encode())
    return replace(work, config=config)


def keys_of(work: Work) -> "KeyBundle":
    """The keys of this job; agents that its JVMs start beside it then accept no others.

    Raises:
        DeniedError, IntegrityError, ConfigError, TransientError: see `ppml_ops.spark.agent.release`.
    """
    bundle = release(work.config, work.job.job_digest)
    digest = bundle_digest(bundle.model_dump(mode="json"))
    write_private(work.folder / BUNDLE_DIGEST, digest.encode("ascii"))
    return bundle


def outputs(work: Work, bundle: "KeyBundle") -> dict[str, "Output"]:
    """The written data sets of a released bundle; the first one of the job comes first.

    Raises:
        ConfigError: the ticket releases no key for the job's first output, which holds its sealed log.
    """
    from ppml_ops.spark.outputs import Output

    written = {
        item["dataset"]: Output(item["dataset"], b64d(item["key"]), item["version"], item["manifest"])
        for item in bundle.model_dump(mode="json")["datasets"]
        if item["mode"] == "write"
    }
    first = work.job.written[0]
    if first not in written:
        raise ConfigError(
            f"the ticket releases no key for writing {first!r}",
            next_step="issue a ticket for the data sets of this job",
        )
    return {first: written.pop(first)} | written


def harden() -> None:
    """No core dumps, nothing readable by others, no process of user code out of reach."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    adopt_orphans()

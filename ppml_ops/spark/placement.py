"""Where one try of a job runs and finds its bytes. Outside the job digest: another try has another one."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import DeniedError
from ppml_ops.keys.model import DATASET_PATTERN
from ppml_ops.spark.job import SparkJob

#: A Kubernetes node, or a folder of a host that stands for one.
NodeName = Annotated[str, StringConstraints(pattern="^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Base(_Model):
    """One node's folder of one data set."""

    node: NodeName = Field(description="Name of the node.")
    uri: str = Field(pattern=r"^[a-z0-9]+://?[^\s\x00-\x1f]*$", description="Folder, e.g. `file:///…`.")


class Binding(_Model):
    """The folders of a data set's sealed parts; reading takes their union, base 0 has the manifest."""

    dataset: str = Field(pattern=DATASET_PATTERN, description="Data set id.")
    bases: tuple[Base, ...] = Field(min_length=1, max_length=64, description="Its folders, in order.")
    spread: bool = Field(
        False,
        description="Written: every process has the folder of its own node only, and can't see the others'.",
    )
    logs: str | None = Field(
        None,
        pattern=r"^file:///[^\s\x00-\x1f]*$",
        description="Written: folder of the sealed log, where the parts do not lie in a folder.",
    )

    @model_validator(mode="after")
    def _own_folder(self) -> Self:
        if self.spread and len(self.bases) != 1:
            raise ValueError("a spread data set has one folder in each process: its own node's")
        return self


class PlatformDevice(_Model):
    """A simulated platform: the entry point asks it for a TD of its own, which then is the device."""

    kind: Literal["platform"] = "platform"
    path: AbsolutePath


class SocketDevice(_Model):
    """A simulated TD: quotes come from its socket."""

    kind: Literal["socket"] = "socket"
    path: AbsolutePath


class TsmDevice(_Model):
    """A real TD: quotes come from the kernel's configfs-tsm under `root`."""

    kind: Literal["tsm"] = "tsm"
    root: AbsolutePath = "/"


class NoDevice(_Model):
    """No TEE: no quotes."""

    kind: Literal["none"] = "none"


Device = Annotated[PlatformDevice | SocketDevice | TsmDevice | NoDevice, Field(discriminator="kind")]


def device_of(kind: Literal["socket", "tsm", "none"], platform: str) -> Device:
    """The device of a profile (its `device`); `platform` is the simulated platform's socket."""
    if kind == "none":
        return NoDevice()
    return TsmDevice() if kind == "tsm" else PlatformDevice(path=platform)


class Placement(_Model):
    """One try of a job: its names, paths and data set folders. No secret."""

    generation: str = Field(
        pattern="^[a-z0-9][a-z0-9-]{0,62}$", description="`<run key>-g<n>`; names the sealed log and the TD."
    )
    folder: AbsolutePath = Field(
        description="Folder of this generation (made, mode 0700): job.json, agent.json, process.json, work/."
    )
    code: AbsolutePath = Field(
        description="The code bundle, a file or a folder; it is copied before it is measured."
    )
    ticket: AbsolutePath = Field(description="File with the job ticket.")
    broker_url: str = Field(pattern=r"^https://\S+$", description="Key broker.")
    broker_ca: AbsolutePath = Field(
        description="PEM file of the CA that the broker's certificate must come from."
    )
    bindings: tuple[Binding, ...] = Field(min_length=1, description="One for each data set of the job.")
    versions: dict[str, int] = Field(
        default_factory=dict, description="For each written data set the version that this job is to publish."
    )


class AgentConfig(_Model):
    """`agent.json`: what the agent needs to fetch the job's keys. No secret."""

    broker_url: str = Field(pattern=r"^https://\S+$")
    broker_ca: AbsolutePath
    ticket: AbsolutePath
    job: AbsolutePath
    code: AbsolutePath
    device: Device
    tee: Literal["tdx", "sgx", "none"]
    generation: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")
    bindings: tuple[Binding, ...] = Field(min_length=1)

    def encode(self) -> bytes:
        """The file's content."""
        return canonical_json(self.model_dump(mode="json"))

    def placement(self, folder: str) -> Placement:
        """The placement as the TEE sees it: `folder` is where agent.json lies; versions come with the keys."""
        return Placement(
            generation=self.generation,
            folder=folder,
            code=self.code,
            ticket=self.ticket,
            broker_url=self.broker_url,
            broker_ca=self.broker_ca,
            bindings=self.bindings,
        )


def check_spread(job: SparkJob, bindings: Iterable[Binding]) -> None:
    """Refuse folders of written data sets that the measured job does not have like that.

    A process that took its node's parts for all of them would publish or read some rows as if they were all.

    Raises:
        DeniedError: a binding is spread and the job is not, or the other way round.
    """
    written = set(job.written)
    for binding in bindings:
        if binding.dataset in written and binding.spread != job.spread:
            raise DeniedError(
                f"{binding.dataset} is bound as {'spread' if binding.spread else 'one folder'}, but the "
                f"topology of the signed job is {job.topology}",
                who="the operator",
                next_step="find out who writes to the folders of runs, then begin a new generation",
            )


def missing_bindings(job: SparkJob, placement: Placement) -> list[str]:
    """Data sets of the job that the placement does not bind, and written ones without a version."""
    bound = {binding.dataset for binding in placement.bindings}
    lacking = [item.dataset for item in job.datasets if item.dataset not in bound]
    return lacking + [name for name in job.written if name not in placement.versions and name not in lacking]

"""A pod of a job arrives: what the orchestrator handed to it is copied, unpacked and made this node's own.

Nothing of it is trusted. What counts is copied first and measured then, because a ConfigMap may change under
a running pod.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ppml_ops.errors import ConfigError
from ppml_ops.files import write_private
from ppml_ops.spark.agent import MAX_TICKET_BYTES, read_config
from ppml_ops.spark.inside import Work, load
from ppml_ops.spark.job import MAX_JOB_BYTES, SparkJob
from ppml_ops.spark.k8s.bundle import unpack
from ppml_ops.spark.k8s.plan import (
    AGENT,
    BROKER_CA,
    CODE_PIECE,
    GENERATION_FOLDER,
    JOB,
    PODS,
    PROFILE,
    THIS_NODE,
    TICKET,
    WORK_FOLDER,
    PodPlan,
)
from ppml_ops.spark.placement import Binding
from ppml_ops.spark.profiles import MAX_PROFILE_BYTES

FOLDER = Path(WORK_FOLDER) / "g"
_LIMITS = {
    JOB: MAX_JOB_BYTES,
    PROFILE: MAX_PROFILE_BYTES,
    PODS: 64 * 1024,
    TICKET: MAX_TICKET_BYTES,
    BROKER_CA: 1 << 20,
}
_MAX_PIECE = 1 << 20


@dataclass(frozen=True)
class Arrived:
    """One pod of a job: what is to run, what all of its pods know, and which one this is."""

    work: Work
    plan: PodPlan
    pod_name: str
    address: str


def arrive(
    environment: Mapping[str, str], source: Path = Path(GENERATION_FOLDER), folder: Path = FOLDER
) -> Arrived:
    """Copy what lies in `source` to the new folder `folder`, and bind data sets to this node.

    Args:
        environment: NODE_NAME, POD_NAME and POD_IP, from the downward API.
        source: the mounted ConfigMaps.
        folder: in memory, for this process and what it starts.

    Raises:
        ConfigError: something is missing, too large or not valid, or does not belong together; or something
            was here before.
        DeniedError: folders are bound otherwise than the job says.
    """
    node, pod_name, address = (_given(environment, name) for name in ("NODE_NAME", "POD_NAME", "POD_IP"))
    _make(folder)
    _make(folder / "work")
    for name, limit in _LIMITS.items():
        write_private(folder / name, _read(source / name, limit))
    plan = read_plan(folder / PODS)
    unpack([_read(source / CODE_PIECE.format(n), _MAX_PIECE) for n in range(plan.code_pieces)], folder / "code")
    given = read_config(source / AGENT)
    if given.generation != plan.generation:
        raise _bad(f"{AGENT} is of generation {given.generation}, {PODS} of {plan.generation}")
    config = given.model_copy(
        update={
            "job": str(folder / JOB),
            "code": str(folder / "code"),
            "ticket": str(folder / TICKET),
            "broker_ca": str(folder / BROKER_CA),
            "bindings": tuple(_on(node, binding) for binding in given.bindings),
        }
    )
    write_private(folder / AGENT, config.encode())
    work = load(folder / AGENT)
    config = config.model_copy(update={"code": str(_bundle(folder / "code", work.job))})
    write_private(folder / AGENT, config.encode())
    return Arrived(Work(config, work.job, work.profile, folder), plan, pod_name, address)


def td_name(arrived: Arrived) -> str:
    """Each pod has a TD of its own; its name begins with the generation."""
    generation, pod = arrived.plan.generation, arrived.pod_name
    return pod if pod.startswith(f"{generation}-") else f"{generation}-{pod}"


def read_plan(path: Path) -> PodPlan:
    """`pods.json`.

    Raises:
        ConfigError: not such a document.
    """
    try:
        return PodPlan.model_validate_json(_read(path, _LIMITS[PODS]))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise _bad(f"{PODS} is not valid: {where}: {first['msg']}") from None


def _on(node: str, binding: Binding) -> Binding:
    """The binding with this node's name in the place of the placeholder."""
    document = binding.model_dump()
    for base in document["bases"]:
        if base["node"] == THIS_NODE:
            base["node"] = node
    try:
        return Binding.model_validate(document)
    except ValidationError:
        raise _bad(f"{node[:100]!r} is no node name that a manifest could hold") from None


def _bundle(folder: Path, job: SparkJob) -> Path:
    """The code bundle: a single file travels in a folder too, and only the job's digest tells them apart."""
    files = list(folder.iterdir())
    if len(files) == 1 and files[0].is_file():
        with files[0].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == job.code.digest:
                return files[0]
    return folder


def _make(folder: Path) -> None:
    """A new folder: what lies in one that is there already would be of others."""
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise _bad(f"{folder} can't be made anew in it: {error.strerror}") from None


def _given(environment: Mapping[str, str], name: str) -> str:
    if not (value := environment.get(name)):
        raise _bad(f"{name} is not set in the environment of this pod")
    return value


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise _bad(f"{path} can't be read: {error.strerror}") from None
    if len(data) > limit:
        raise _bad(f"{path} has more than {limit} bytes")
    return data


def _bad(why: str) -> ConfigError:
    return ConfigError(
        f"this pod was not made as it should be: {why}", next_step="begin a new generation of the job"
    )

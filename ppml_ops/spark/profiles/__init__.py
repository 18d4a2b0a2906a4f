"""Platform profiles: all that differs between places where a job can run.

A profile is a YAML file of this folder (or of a folder of the user's) with the fields of `Profile`.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppml_ops.errors import ConfigError
from ppml_ops.spark.job import NODE_FOLDERS, Resources
from ppml_ops.spark.k8s.platform import SHARED_NODE, KubernetesPlatform
from ppml_ops.spark.placement import NodeName

MAX_PROFILE_BYTES = 64 * 1024


class Profile(BaseModel):
    """One platform profile; see the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern="^[a-z0-9][a-z0-9-]{0,39}$", description="Name of the profile, as the file's name."
    )
    title: str = Field(min_length=1, max_length=200, description="One line for people.")
    launcher: Literal["local", "kubernetes"] = Field(
        description="Where the job runs: `local` = a process tree on this host, `kubernetes` = pods."
    )
    tee: Literal["tdx", "none"] = Field(
        description="Kind of evidence. `none` gives the verdict UNATTESTED; a data set's policy must name it."
    )
    device: Literal["socket", "tsm", "none"] = Field(
        description="Where quotes come from: a simulated platform's socket, the kernel's configfs-tsm, nowhere."
    )
    master: str | None = Field(
        None,
        pattern=r"^local\[[1-9][0-9]{0,2}\]$",
        description="With `launcher: local`: Spark master; the number is the most threads a job may have.",
    )
    nodes: tuple[NodeName, ...] = Field(
        (),
        max_length=64,
        description="With `launcher: local`: nodes whose folders hold the sealed parts. A cluster is asked.",
    )
    kubernetes: KubernetesPlatform | None = Field(
        None, description="With `launcher: kubernetes`: where in the cluster, and how much of it."
    )
    time_limit: int = Field(
        86_400,
        ge=1,
        le=30 * 86_400,
        description="Seconds after which a running job is ended, sealed log kept.",
    )
    stop_grace: float = Field(
        10.0, gt=0, le=300, description="Seconds between asking a job to end and killing it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tee == "none") != (self.device == "none"):
            raise ValueError("`tee: none` and `device: none` belong together")
        if len(set(self.nodes)) != len(self.nodes):
            raise ValueError("a node is named twice")
        local, kubernetes = self.master is not None and bool(self.nodes), self.kubernetes is not None
        if self.launcher == "local" and (kubernetes or not local):
            raise ValueError("`launcher: local` needs `master` and `nodes`, and has no `kubernetes`")
        if self.launcher == "kubernetes" and (self.master or self.nodes or not kubernetes):
            raise ValueError("`launcher: kubernetes` needs `kubernetes`, and has no `master` and `nodes`")
        return self

    @property
    def platform(self) -> KubernetesPlatform:
        """The cluster's part. Raises ConfigError for a profile that runs on this host."""
        if self.kubernetes is None:
            raise ConfigError(
                f"profile {self.name!r} does not run in a cluster",
                next_step="name a profile with `launcher: kubernetes`",
            )
        return self.kubernetes

    @property
    def activations(self) -> int:
        """How often the keys of one job may be released: to entry point and JVM of each process, in four tries.

        In a cluster also to executors that replace failed ones; with dynamic allocation each executor may be
        given back and made again several times.
        """
        if self.kubernetes is None:
            return 16
        wanted = self.kubernetes.resources
        executors = 4 * wanted.max_executors if wanted.max_executors else wanted.executors
        return 4 * 2 * (1 + executors + self.kubernetes.executor_failures)

    @property
    def topology(self) -> str:
        """Where the data of its jobs lies. Measured, so that no process can be told that it sees all parts."""
        if self.kubernetes is None:
            return "two-nodes"
        return NODE_FOLDERS if self.kubernetes.spread else SHARED_NODE

    @property
    def resources(self) -> Resources:
        """What a job of this profile gets."""
        if self.kubernetes is not None:
            return self.kubernetes.resources
        return Resources(cores=int(str(self.master).removeprefix("local[").removesuffix("]")))


def _profiles_in(folder: Path | Traversable) -> dict[str, Path | Traversable]:
    return {item.name.removesuffix(".yaml"): item for item in folder.iterdir() if item.name.endswith(".yaml")}


def profile_names(folder: Path | None = None) -> list[str]:
    """Names of all profiles: those that ship with the package and those in `folder`."""
    names = set(_profiles_in(files(__package__)))
    if folder is not None and folder.is_dir():
        names |= set(_profiles_in(folder))
    return sorted(names)


def load_profile(name: str, folder: Path | None = None) -> Profile:
    """The profile `name`, from `folder` if it is there, else from the package.

    Raises:
        ConfigError: no such profile (names the places looked at), or it is not valid (names the field).
    """
    places: list[Path | Traversable] = [files(__package__)]
    if folder is not None and folder.is_dir():
        places.insert(0, folder)
    for place in places:
        found = _profiles_in(place).get(name)
        if found is not None:
            return _parse(name, found.read_bytes())
    raise ConfigError(
        f"no profile {name!r}; looked into {', '.join(str(place) for place in places)}",
        next_step=f"use one of: {', '.join(profile_names(folder))}",
    )


def _parse(name: str, data: bytes) -> Profile:
    if len(data) > MAX_PROFILE_BYTES:
        raise _bad(name, f"it has {len(data)} bytes, more than {MAX_PROFILE_BYTES}")
    try:
        profile = Profile.model_validate(yaml.safe_load(data))
    except yaml.YAMLError:
        raise _bad(name, "it is not YAML") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise _bad(name, f"{where}: {first['msg']}") from None
    if profile.name != name:
        raise _bad(name, f"it calls itself {profile.name!r}")
    return profile


def _bad(name: str, why: str) -> ConfigError:
    return ConfigError(f"profile {name!r} is not valid: {why}", next_step=f"correct {name}.yaml")

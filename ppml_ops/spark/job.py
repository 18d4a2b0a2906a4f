"""SparkJob v1: what is to run, in the form that ticket, receipt and renderers share.

The job digest covers specification and code. What differs between two tries of the same job (generation,
ports, process ids, placement) lies outside it. Design section 5.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ppml_ops.canonical import canonical_json, sha384_hex
from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import DATASET_PATTERN
from ppml_ops.spark.conf import check_conf

MAX_JOB_BYTES = 256 * 1024
NODE_FOLDERS = "node-folders"

Mode = Literal["read", "write"]
_JAVA_CLASS = r"^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*$"


def _relative(path: str) -> str:
    """A plain relative path, so that joining it to the bundle can't lead elsewhere."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f\x7f\\]", path):
        raise ValueError("must be a relative path inside the code bundle")
    return path


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CodeBundle(_Model):
    """The application: one file, or a folder with an entry script."""

    main: Annotated[str, AfterValidator(_relative)] = Field(
        description="Script or jar to run: the file's name, or a path relative to the bundle's folder."
    )
    main_class: str | None = Field(
        None, pattern=_JAVA_CLASS, max_length=512, description="Class to run, for a jar; null for a script."
    )
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="`ppml_ops.attestation.measure.code_digest`.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.main.endswith(".jar") != (self.main_class is not None):
            raise ValueError("a .jar needs the name of its main class, and only a .jar has one")
        return self


class JobDataset(_Model):
    """One data set of the job and what the job may do with it."""

    dataset: str = Field(pattern=DATASET_PATTERN, description="Data set id.")
    mode: Mode = Field(description="Read an existing version, or write a new one.")
    partition: dict[str, str] = Field(default_factory=dict, description="Partition values, e.g. date.")


class Resources(_Model):
    """What the job may use."""

    driver_memory: str = Field("1g", pattern="^[1-9][0-9]{0,5}[mg]$", description="Java heap of the driver.")
    cores: int = Field(2, ge=1, le=256, description="Cores of one executor; in local mode, threads.")
    executor_memory: str = Field(
        "1g", pattern="^[1-9][0-9]{0,5}[mg]$", description="Java heap of one executor; not in local mode."
    )
    executors: int = Field(2, ge=1, le=1000, description="How many executors; not in local mode.")
    max_executors: int | None = Field(
        None, ge=1, le=1000, description="Let their number grow up to this with the work (dynamic allocation)."
    )


class SparkJob(_Model):
    """A Spark application with its data sets; see the fields.

    Raises:
        ConfigError: from `conf`, for a Spark setting that a job may not make.
    """

    ppml: Literal["spark-job/1"] = Field("spark-job/1", description="Version of this document.")
    name: str = Field(pattern="^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", description="Name shown in Spark.")
    code: CodeBundle = Field(description="The application.")
    arguments: tuple[str, ...] = Field((), max_length=256, description="Arguments of the application.")
    datasets: tuple[JobDataset, ...] = Field(min_length=1, max_length=64, description="Its data sets.")
    conf: dict[str, str] = Field(default_factory=dict, description="Spark settings from the allow-list.")
    resources: Resources = Field(default_factory=Resources, description="Memory and cores.")
    profile: str = Field("local", pattern="^[a-z0-9][a-z0-9-]{0,39}$", description="Platform profile.")
    topology: str = Field(
        "two-nodes",
        pattern="^[a-z0-9][a-z0-9-]{0,39}$",
        description="Where data lies; with `node-folders` no process sees what those on other nodes wrote.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [item.dataset for item in self.datasets]
        if len(names) != len(set(names)):
            raise ValueError("a data set is named twice")
        if not self.written:
            raise ValueError("no data set is written: a job needs one for its result and its sealed log")
        if any("\0" in argument for argument in self.arguments):
            raise ValueError("an argument holds a NUL character")
        check_conf(self.conf)
        return self

    @property
    def written(self) -> tuple[str, ...]:
        """Ids of the data sets that the job writes; the first one holds its sealed log."""
        return tuple(item.dataset for item in self.datasets if item.mode == "write")

    @property
    def spread(self) -> bool:
        """Whether each process has the folder of its own node only."""
        return self.topology == NODE_FOLDERS

    def canonical(self) -> bytes:
        """The document as RFC 8785 JSON: the content of `job.json`."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def job_digest(self) -> str:
        """SHA-384 of the canonical document, 96 hex digits; what the ticket names and the TEE measures."""
        return sha384_hex(self.canonical())


def parse_job(document: bytes) -> SparkJob:
    """A job from the bytes of its `job.json`.

    Raises:
        ConfigError: not a SparkJob v1, or larger than 256 KiB.
    """
    if len(document) > MAX_JOB_BYTES:
        raise ConfigError(
            f"the job document has {len(document)} bytes, more than {MAX_JOB_BYTES}",
            next_step="move long arguments into a file of the code bundle",
        )
    try:
        return SparkJob.model_validate_json(document)
    except ValidationError as error:
        raise not_a_job(error) from None


def not_a_job(error: ValidationError, who: str | None = None) -> ConfigError:
    """The error that names the first thing which keeps a document from being a SparkJob; never its values."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    return ConfigError(
        f"not a SparkJob v1: {where}: {first['msg']}", who=who, next_step="correct the job's specification"
    )

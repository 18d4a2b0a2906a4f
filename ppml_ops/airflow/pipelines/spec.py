"""The pipeline specification: what a user says about a job of their own; see docs/pipelines.md.

Everything is checked when the file is read, so that a mistake shows in Airflow's list and not at night.
"""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import DATASET_PATTERN
from ppml_ops.spark.conf import check_conf

MAX_BYTES = 256 * 1024
#: Parameters that every life-cycle DAG has.
COMMON_PARAMS = ("date", "profile")

DatasetId = Annotated[str, Field(pattern=DATASET_PATTERN)]
Columns = Annotated[tuple[str, ...], Field(max_length=1000)]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{name} is no time zone") from error
    return name


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(_Model):
    """One data set that the job reads; either `source` or `in_place`."""

    dataset: DatasetId = Field(description="Data set id.")
    table: str = Field(
        "data", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", description="Folder: `sealed://<dataset>/<table>`."
    )
    source: str | None = Field(
        None,
        max_length=2000,
        description="File, folder or URL of plaintext, which stays there: a sealed copy goes to the storage. "
        "Templated; `{date}` is the day.",
    )
    source_key: str = Field(
        "",
        max_length=1000,
        description="The source is a data set of BigDL PPML, this its key: `simple:/folder/name`. Templated.",
    )
    in_place: str | None = Field(
        None,
        max_length=2000,
        description="Folder or URL of a sealed data set, read where it lies. Templated; `{date}` is the day.",
    )
    columns: Columns = Field((), description="Names that the header of each CSV file must have.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.source is None) == (self.in_place is None):
            raise ValueError(f"input {self.dataset} needs either `source` or `in_place`")
        if self.source_key and self.source is None:
            raise ValueError(f"input {self.dataset} has a `source_key` but no `source`")
        return self


class OutputSpec(_Model):
    """One data set that the job writes, and how the owner checks its rows."""

    dataset: DatasetId = Field(description="Data set id.")
    columns: Columns = Field((), description="Columns of its CSV rows; with them the rows are counted.")
    expected: str | None = Field(
        None, max_length=2000, description="CSV file, folder or URL of the rows that must come out. `{date}`."
    )

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if self.expected and not self.columns:
            raise ValueError(f"output {self.dataset} has `expected` rows but no `columns` to compare")
        return self


class JobSpec(_Model):
    """The user's program, unchanged."""

    application: str = Field(
        min_length=1,
        max_length=2000,
        description="Path of a `.py` file, a `.jar`, or a folder; relative to the specification.",
    )
    main: str | None = Field(None, description="The script, for a folder: its path in there.")
    main_class: str | None = Field(None, description="The class to run, for a `.jar`.")
    arguments: tuple[str, ...] = Field((), max_length=256, description="Its arguments. Templated.")
    conf: dict[str, str] = Field(default_factory=dict, description="Spark settings from the allow-list.")


class PipelineSpec(_Model):
    """One life-cycle DAG; see the fields."""

    ppml: Literal["pipeline/1"] = Field(description="Version of this format.")
    dag: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$", description="DAG id.")
    description: str = Field("", max_length=1000, description="Shown in Airflow.")
    schedule: str | None = Field(None, description="Cron expression; null: runs are triggered.")
    timezone: Annotated[str, BeforeValidator(_zone)] = Field("UTC", description="Of schedule and days.")
    start: date | None = Field(None, description="First day of the data.")
    catchup: bool = Field(False, description="Whether missed days since `start` run by themselves.")
    max_active_runs: int = Field(4, ge=1, le=100, description="Runs at a time.")
    pool: str | None = Field(None, max_length=256, description="Airflow pool of `submit`.")
    purpose: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,63}$", description="What the data sets' policies must allow."
    )
    job: JobSpec
    inputs: tuple[InputSpec, ...] = Field(min_length=1, max_length=32)
    outputs: tuple[OutputSpec, ...] = Field(min_length=1, max_length=32)
    check: str | None = Field(
        None, max_length=2000, description="The owner's script that looks at the opened results."
    )
    export_key: str = Field(
        "",
        max_length=1000,
        description="Results are also written for BigDL PPML under this key: `simple:/folder/name`. Templated.",
    )
    params: dict[str, dict[str, Any]] = Field(
        default_factory=dict, max_length=64, description="Parameters of the trigger form, as JSON Schema."
    )
    tags: tuple[str, ...] = Field((), max_length=20)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        datasets = [*(one.dataset for one in self.inputs), *(one.dataset for one in self.outputs)]
        if twice := sorted({name for name in datasets if datasets.count(name) > 1}):
            raise ValueError(f"data set {twice[0]} is named twice")
        if taken := sorted(set(self.params) & set(COMMON_PARAMS)):
            raise ValueError(f"the parameter {taken[0]} exists in every pipeline")
        if self.catchup and (self.schedule is None or self.start is None):
            raise ValueError("catchup needs `schedule` and `start`")
        check_conf(self.job.conf)
        return self

    @property
    def job_name(self) -> str:
        """A name that Spark and Kubernetes take."""
        return re.sub(r"[^a-z0-9]+", "-", self.dag.lower()).strip("-")[:40].strip("-") or "job"


def load_spec(path: Path) -> PipelineSpec:
    """The specification in a YAML file.

    Raises:
        ConfigError: not readable, not YAML, or not a pipeline; names the first mistake and its place.
    """
    try:
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise _wrong(path, f"it has {len(data)} bytes, more than {MAX_BYTES}")
        document = yaml.safe_load(data)
    except OSError as error:
        raise _wrong(path, f"it can't be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _wrong(path, f"it is not YAML{f', line {mark.line + 1}' if mark else ''}") from None
    try:
        return PipelineSpec.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(piece) for piece in first["loc"])
        raise _wrong(path, f"{where}: {first['msg']}" if where else first["msg"]) from None
    except ConfigError as error:
        raise _wrong(path, error.what) from None


def _wrong(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the pipeline specification {path.name} is wrong: {why}",
        next_step="correct it; docs/pipelines.md has the format",
        who="the author of the DAG",
    )

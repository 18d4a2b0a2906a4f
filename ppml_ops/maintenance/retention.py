"""What may go, and how long it stays: the rules of a state folder, read from `retention.yaml`.

Without that file the defaults hold. Sealed data, records and receipts stay for ever unless it says otherwise.
"""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import DatasetId

FILE = "retention.yaml"
MAX_FILE = 256 * 1024
#: Longer than a job may run and its ticket lives, so that nothing of a living run is that old.
MIN_HOURS = 27

Days = Annotated[int, Field(ge=0, le=36_500)]
Hours = Annotated[int, Field(ge=MIN_HOURS, le=876_000)]


class Rules(BaseModel):
    """How long things stay. None: for ever.

    Attributes:
        opened_results_days: opened results, which are plaintext, in `data/`.
        leftovers_hours: what runs left that ended without cleaning up: temporary plaintext, folders on nodes,
            gathered parts, working folders of jobs, parts that no manifest names.
        airflow_logs_days: task logs of headless runs.
        records_days: records, tickets and receipts of runs.
        datasets_days: sealed versions of a data set, by the day of their partition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    opened_results_days: Days | None = 30
    leftovers_hours: Hours = 48
    airflow_logs_days: Days | None = 30
    records_days: Days | None = None
    datasets_days: dict[DatasetId, Days] = Field(default_factory=dict)


def read_rules(home: Path) -> Rules:
    """The rules of the state folder `home`.

    Raises:
        ConfigError: the file is there and can't be understood; then nothing may be removed.
    """
    path = home / FILE
    if not path.exists():
        return Rules()
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE:
            raise ValueError(f"more than {MAX_FILE} bytes")
        return Rules.model_validate(yaml.safe_load(data) or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        detail = type(error).__name__
    raise ConfigError(f"{path} can't be understood: {detail}", next_step="correct it; see docs/maintenance.md")

"""Input and expectation of the flagship, from parameters and day of a run. See dags/simple_query.py."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ppml_ops.errors import ConfigError
from ppml_ops.workloads.generate_people import expected_summary, generate
from ppml_ops.workloads.generator import Generator
from ppml_ops.workloads.rows import RowSummary


def seed_of(params: Mapping[str, Any], day: date) -> int:
    """The seed asked for; else the day itself, so that every night has other people."""
    seed = params.get("seed")
    return day.toordinal() if seed is None else int(seed)


def check_people_params(params: Mapping[str, Any]) -> None:
    """Raise ConfigError for an age range that is none."""
    if int(params["min_age"]) > int(params["max_age"]):
        raise ConfigError(
            f"the age range {params['min_age']} to {params['max_age']} is empty",
            next_step="give a min_age that is not above max_age",
        )


def people_generator(params: Mapping[str, Any], day: date) -> Generator:
    """Seeded people for a run that brings no input of its own."""
    rows, seed = int(params["rows"]), seed_of(params, day)

    def write(path: Path) -> None:
        path.touch(mode=0o600)
        generate(path, rows, seed)

    return Generator(spec={"name": "people/1", "rows": rows, "seed": seed}, write=write)


def expected_people(params: Mapping[str, Any], day: date) -> RowSummary | None:
    """What SimpleQuery must find among the generated people, from the seed alone; None for own input."""
    if params.get("input_url"):
        return None
    return expected_summary(
        int(params["rows"]),
        seed_of(params, day),
        int(params["min_age"]),
        int(params["max_age"]),
        str(params["job"]),
    )

"""Names inside `sealed://<dataset>/<path>`: what a data set id, a part path and a partition may look like."""

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import DATASET_PATTERN

#: A digest or id in lower-case hex.
Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hex80 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{80}$")]
Hex96 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{96}$")]

_PATH_LIMIT = 1024


def _part_path(path: str) -> str:
    """Relative, '/'-separated, printable ASCII without quotes or backslash, no empty and no hidden component.

    Hidden are, as in Spark, names with a leading '.', and with a leading '_' unless they are a partition
    (`_day=1`): manifests, reservations and logs lie under such names, and no part ever does.
    """
    if len(path) > _PATH_LIMIT or not path.isascii() or not path.isprintable() or set(path) & set("\"'\\"):
        raise ValueError("a part path is printable ASCII without quotes and backslashes")
    for component in path.split("/"):
        if not component or component[0] == "." or (component[0] == "_" and "=" not in component):
            raise ValueError("a part path is relative and has no empty and no hidden component")
    return path


PartPath = Annotated[str, AfterValidator(_part_path)]


def check_dataset_id(text: str) -> str:
    """`text` if it is a data set id.

    Raises:
        ConfigError: it is not; the message says what one looks like.
    """
    if not re.fullmatch(DATASET_PATTERN, text):
        raise ConfigError(
            f"{text!r} is not a data set id",
            next_step="use 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
        )
    return text


def partition_folder(day: date) -> str:
    """Folder of a day's partition below a data set, as Hive and Spark name it: `date=2026-11-20`."""
    return f"date={day.isoformat()}"

"""Spark's own list of error conditions, read from its jar: names that may be shown because they are no data."""

import json
import zipfile
from pathlib import Path

_MEMBER = "error/error-conditions.json"
_PATTERN = "spark-common-utils_*.jar"
_MAX_BYTES = 16 << 20


def error_conditions(spark_home: Path) -> frozenset[str]:
    """Names like `CAST_INVALID_INPUT` and `MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION`.

    An installation without the list gives the empty set: error conditions are then not shown.
    """
    for jar in sorted((spark_home / "jars").glob(_PATTERN)):
        try:
            with zipfile.ZipFile(jar) as archive, archive.open(_MEMBER) as member:
                return _names(json.loads(member.read(_MAX_BYTES)))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            continue
    return frozenset()


def _names(conditions: dict[str, dict[str, object]]) -> frozenset[str]:
    names = set(conditions)
    for name, body in conditions.items():
        below = body.get("subClass")
        if isinstance(below, dict):
            names |= {f"{name}.{sub}" for sub in below}
    return frozenset(names)

"""What spark-submit runs: starts the session, then the user's script unchanged, then says how it ended.

    spark-submit runner.py application.json script.py [arguments of the script …]

The session comes first, so that keys, the plugin and a refusal come before any line of user code. Exit codes:
0, 70 the script failed, 76 a sealed file failed its check.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

FAILED = 70
INTEGRITY = 76
_INTEGRITY_CLASS = "io.github.ppmlops.spark.SealedIntegrityException"
_MAX_CAUSES = 50


def java_causes(error: BaseException | None) -> list[str]:
    """Class names of the Java exceptions behind a Python one, outermost first."""
    names: list[str] = []
    seen = 0
    while error is not None and seen < _MAX_CAUSES:
        origin = getattr(error, "_origin", None)  # PySpark's own classes; Py4JJavaError has java_exception
        holder = origin if isinstance(origin, BaseException) else error
        java = getattr(holder, "java_exception", None) or origin
        while java is not None and len(names) < _MAX_CAUSES:
            names.append(java.getClass().getName())
            java = java.getCause()
        error = error.__cause__ or error.__context__
        seen += 1
    return names


def run_script(script: Path, arguments: list[str]) -> int:
    """Run a script as `python script arguments` would; returns 0, 70 or 76."""
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.parent)  # was our own folder: its module names are none of the script's business
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as leave:
        if leave.code in (None, 0):
            return 0
        if not isinstance(leave.code, int):
            sys.stderr.write(f"{leave.code}\n")
        sys.stderr.write("SystemExit\n")
    except BaseException as error:  # noqa: BLE001  # whatever the script raises is its failure
        traceback.print_exc()
        if _INTEGRITY_CLASS in _safely(java_causes, error):
            sys.stderr.write("PPML-INTEGRITY: a sealed file failed its check\n")
            return INTEGRITY
    else:
        return 0
    return FAILED


def _safely(function: Any, *arguments: Any) -> list[str]:
    """The result, or nothing when the JVM is gone already."""
    try:
        return list(function(*arguments))
    except Exception:  # noqa: BLE001  # py4j raises many kinds once its peer has ended
        return []


def write_application(path: Path, application_id: str, version: str, code: int | None) -> None:
    """Publish `application.json`; `exit` is null while the script runs."""
    document = {"application_id": application_id, "spark_version": version, "exit": code}
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".application-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    Path(name).replace(path)


def main(arguments: list[str]) -> int:
    """Start the session, run the script; returns the exit code."""
    from pyspark.sql import SparkSession

    record, script = Path(arguments[0]), Path(arguments[1])
    spark = SparkSession.builder.getOrCreate()
    application_id, version = spark.sparkContext.applicationId, spark.version
    write_application(record, application_id, version, None)
    sys.stderr.write(f"PPML-RUNNER started application={application_id} spark={version}\n")
    sys.stderr.flush()
    code = run_script(script, arguments[2:])
    sys.stdout.flush()
    sys.stderr.flush()
    write_application(record, application_id, version, code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What spark-submit runs: starts the session, then the user's script unchanged, then says how it ended.

    spark-submit runner.py application.json DIGEST CODE MAIN [arguments of the script …]

The code bundle is copied into the work folder and must have the digest of the job, which the ticket names: what
lies at CODE may have changed since the TD measured it. Of the script the very bytes that were compared run. The
session comes first, so that keys, the plugin and a refusal come before any line of user code. Exit codes:
0, 70 the script failed, 76 a sealed file failed its check, 77 the code is not the job's.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

FAILED = 70
INTEGRITY = 76
DENIED = 77
#: The whole line of this refusal; `ppml_ops.spark.logfilter` shows it because it holds nothing of the code.
CODE_CHANGED = (
    "PPML-DENIED: the code changed between its measurement and its start "
    "[the operator: find out who writes to the folders of runs, then begin a new generation]"
)
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


class CodeChangedError(Exception):
    """What lies there is not the code that the job names."""


def verified_copy(code: Path, main: str, digest: str, target: Path) -> tuple[Path, bytes]:
    """Copy the bundle `code` to the new folder `target`; returns the script's path there and its bytes.

    A single file is alone in `target`, so that no neighbour which nobody measured can be imported.

    Raises:
        CodeChangedError: the copy has another digest, or can't be made.
    """
    try:
        if code.is_dir():
            from ppml_ops.attestation.measure import code_digest

            shutil.copytree(code, target)
            script = target / main
            text = script.read_bytes()
            found = code_digest(target)
        else:
            text = code.read_bytes()
            found = hashlib.sha256(text).hexdigest()
            target.mkdir(mode=0o700)
            script = target / code.name
            script.write_bytes(text)
    except Exception as error:  # missing, no file, a link to the outside: not what was measured
        raise CodeChangedError from error
    if found != digest:
        raise CodeChangedError
    return script, text


def run_script(script: Path, text: bytes, arguments: list[str]) -> int:
    """Run `text` as `python script arguments` would run the file; returns 0, 70 or 76."""
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.parent)  # was our own folder: its module names are none of the script's business
    try:
        _execute(script, text)
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


def _execute(script: Path, text: bytes) -> None:
    """As runpy.run_path(script, run_name="__main__"), without reading the file."""
    module = ModuleType("__main__")
    vars(module).update(__file__=str(script), __cached__=None, __package__="")
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        exec(compile(text, str(script), "exec", dont_inherit=True), vars(module))  # noqa: S102  # our purpose
    finally:
        sys.modules["__main__"] = ours


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
    """Check the code, start the session, run the script; returns the exit code."""
    record, digest, code, main_script = Path(arguments[0]), arguments[1], Path(arguments[2]), arguments[3]
    try:
        script, text = verified_copy(code, main_script, digest, record.parent / "work" / "code")
    except CodeChangedError:
        sys.stderr.write(f"{CODE_CHANGED}\n")
        return DENIED
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    application_id, version = spark.sparkContext.applicationId, spark.version
    write_application(record, application_id, version, None)
    sys.stderr.write(f"PPML-RUNNER started application={application_id} spark={version}\n")
    sys.stderr.flush()
    ended = run_script(script, text, arguments[4:])
    sys.stdout.flush()
    sys.stderr.flush()
    write_application(record, application_id, version, ended)
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

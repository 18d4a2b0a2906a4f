"""A driver's or executor's pod from its start to its last words; see `ppml_ops.spark.pod`."""

import json
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from ppml_ops.errors import ConfigError
from ppml_ops.spark.inside import ENDED_ON_REQUEST, Voice, harden
from ppml_ops.spark.k8s.arrival import FOLDER, arrive
from ppml_ops.spark.k8s.mounts import check_in_memory
from ppml_ops.spark.k8s.plan import SECRET_FOLDER, WORK_FOLDER
from ppml_ops.spark.k8s.termination import leave_message, termination_message
from ppml_ops.spark.running import APPLICATION

JAVA_HOME = "/opt/java"
MOUNTS = Path("/proc/self/mountinfo")
IN_MEMORY = (WORK_FOLDER, SECRET_FOLDER, "/tmp")  # noqa: S108  # inside the pod, its own
_MAX_APPLICATION = 4096
_APPLICATION_ID = re.compile(r"[a-z0-9-]{1,63}")


class _AskedToLeaveError(BaseException):
    """The pod is deleted before anything runs in it that would have to be ended."""


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise _AskedToLeaveError


def run(role: str, environment: Mapping[str, str], say: Voice) -> int:
    """One driver or executor to its end; returns the exit code.

    Raises:
        PpmlError: before its JVM started, or for files that no manifest lists.
    """
    from ppml_ops.spark.k8s.driver import run_driver
    from ppml_ops.spark.k8s.executor import run_executor
    from ppml_ops.spark.tools import installed_tools

    check_in_memory(MOUNTS.read_text(errors="surrogateescape"), IN_MEMORY)
    tools = installed_tools()
    arrived = arrive(environment)
    if role == "driver":
        return run_driver(arrived, tools, environment, say)
    return run_executor(arrived, tools, environment, say)


def application_id(role: str, environment: Mapping[str, str]) -> str | None:
    """Of the application that this pod belongs to; None when none was started, or it is none.

    User code may have written the driver's: what leaves the TEE in clear is no longer than an id, and looks so.
    """
    found: object = environment.get("SPARK_APPLICATION_ID")
    if role != "executor":
        found = None
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            found = json.loads(_read(FOLDER / APPLICATION))["application_id"]
    return found if isinstance(found, str) and _APPLICATION_ID.fullmatch(found) else None


def _read(path: Path) -> bytes:
    """Without waiting, should it be a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, _MAX_APPLICATION)
    finally:
        os.close(descriptor)


def main(role: str) -> int:
    """Run once; returns the exit code."""
    environment = dict(os.environ)
    os.environ.clear()  # whoever wrote the pod's environment has no say in how our own libraries work
    os.environ.update({"JAVA_HOME": JAVA_HOME, "LANG": "C.UTF-8", "PATH": f"{JAVA_HOME}/bin:/usr/bin:/bin"})
    harden()
    signal.signal(signal.SIGTERM, _leave)  # the first process of a container has no default for it
    say = Voice()
    try:
        if role not in ("driver", "executor"):
            raise ConfigError(
                "this entry point takes one of: driver, executor, node", next_step="correct the pod's arguments"
            )
        code = run(role, environment, say)
    except _AskedToLeaveError:
        code = ENDED_ON_REQUEST
    except Exception as error:  # noqa: BLE001  # the boundary: class and next step only, never a traceback
        code = say.refusal(error)
    say(f"exit code {code}")
    leave_message(termination_message(code, application_id(role, environment), say.reason if code else None))
    return code

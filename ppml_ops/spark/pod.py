"""The entry point of every pod of a job, as its first process.

    /opt/ppml/bin/python3 -I -X pycache_prefix=/dev/null/pycache -m ppml_ops.spark.pod driver | executor | node

`driver` and `executor` attest, get their keys and start their JVM; further arguments, which the Spark operator
and Spark's driver add, mean nothing here. Standard output gets life-cycle lines only, the termination message
exit code, application and the line that tells most. `node` waits: the orchestrator works through `pods/exec`.
Exit codes: 0, 70 the workload failed, 65 and 75 to 78 as in `ppml_ops.errors`, 143 ended on request; an
executor's JVM may have others of Spark's own.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType

from ppml_ops.errors import ConfigError
from ppml_ops.spark.inside import ENDED_ON_REQUEST, Voice, harden
from ppml_ops.spark.k8s.arrival import FOLDER, arrive
from ppml_ops.spark.k8s.termination import leave_message, termination_message

JAVA_HOME = "/opt/java"


class _AskedToLeaveError(BaseException):
    """The pod is deleted before anything runs in it that would have to be ended."""


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise _AskedToLeaveError


def wait_for_end() -> int:
    """Do nothing until the pod is deleted."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)
    return 0


def run(role: str, environment: Mapping[str, str], say: Voice) -> int:
    """One driver or executor to its end; returns the exit code.

    Raises:
        PpmlError: before its JVM started, or for files that no manifest lists.
    """
    from ppml_ops.spark.k8s.driver import run_driver
    from ppml_ops.spark.k8s.executor import run_executor
    from ppml_ops.spark.tools import installed_tools

    tools = installed_tools()
    arrived = arrive(environment)
    if role == "driver":
        return run_driver(arrived, tools, environment, say)
    return run_executor(arrived, tools, environment, say)


def application_id(role: str, environment: Mapping[str, str]) -> str | None:
    """Of the application that this pod belongs to; None when none was started."""
    if role == "executor":
        return environment.get("SPARK_APPLICATION_ID")
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((FOLDER / "application.json").read_bytes())["application_id"])
    return None


def main(arguments: list[str]) -> int:
    """Run once; returns the exit code."""
    role = arguments[0] if arguments else ""
    if role == "node":
        return wait_for_end()
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

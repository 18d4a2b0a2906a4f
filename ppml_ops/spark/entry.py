"""The TEE's entry point on a host: fetches keys, runs spark-submit, seals its output, says how it ended.

    python -I -m ppml_ops.spark.entry agent.json

Beside agent.json lie job.json and profile.json. Spark's settings are made here, from the measured job, so that
the orchestrator can't hand in others. Standard output gets life-cycle lines only (`ppml_ops.spark.logfilter`),
`exit.json` the exit code: 0, 70 the workload failed, 65 and 75 to 78 as in `ppml_ops.errors`, 143 ended on
request. With a profile in client mode only the driver runs here, and its executors in pods.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from ppml_ops.errors import ConfigError
from ppml_ops.files import write_private
from ppml_ops.spark.driving import drive, prepare
from ppml_ops.spark.inside import Voice, Work, enter_td, harden, keys_of, load, outputs
from ppml_ops.spark.process import ProcessRecord
from ppml_ops.spark.render import Submission, Tools, render_local
from ppml_ops.spark.tools import installed_tools, make_socket_folder, socket_folder

_RECORD_SECONDS = 10.0


def run(work: Work, say: Voice) -> int:
    """Keys, sealed log, Spark, outputs; returns the exit code.

    Raises:
        PpmlError: before Spark started, or for files that no manifest lists.
    """
    tools = installed_tools()
    bundle = keys_of(work)
    written = outputs(work, bundle)
    submission = _submission(work, tools, bundle.data_keys)
    prepare(work, submission)
    return drive(work, written, submission, Path(tools.spark_home), say, clear=bundle.clear_logs)


def _submission(work: Work, tools: Tools, keys: Mapping[str, bytes]) -> Submission:
    if work.profile.kubernetes is not None:
        from ppml_ops.spark.k8s.client import client_submission

        return client_submission(work, tools, keys, dict(os.environ))
    placement = work.config.placement(str(work.folder))
    sockets = make_socket_folder(socket_folder(work.folder))
    return render_local(work.job, work.profile, placement, tools, sockets=str(sockets))


def _wait_for_record(path: Path) -> None:
    """Do nothing before `process.json` names this process: what nobody can find again must not run a job."""
    deadline = time.monotonic() + _RECORD_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, ValidationError):
            if ProcessRecord.model_validate_json(path.read_bytes()) == ProcessRecord.of(os.getpid()):
                return
        time.sleep(0.01)
    raise ConfigError(
        f"the launcher has not recorded this process in {path}", next_step="begin a new generation of the job"
    )


def main(arguments: list[str]) -> int:
    """Run once; returns the exit code, which `exit.json` holds too."""
    agent_json = Path(arguments[0]).absolute()
    harden()
    say = Voice()
    try:
        _wait_for_record(agent_json.with_name("process.json"))
        code = run(enter_td(load(agent_json)), say)
    except Exception as error:  # noqa: BLE001  # the boundary: class and next step only, never a traceback
        code = say.refusal(error)
    say(f"exit code {code}")
    write_private(agent_json.with_name("exit.json"), json.dumps({"exit_code": code}).encode())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

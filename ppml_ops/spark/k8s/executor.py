"""An executor's pod: attested and holding keys before its JVM starts, which then asks for its own once more."""

import signal
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ppml_ops.files import private_dir
from ppml_ops.spark.conditions import error_conditions
from ppml_ops.spark.driving import WORK_FOLDERS
from ppml_ops.spark.inside import ENDED_ON_REQUEST, Voice, enter_td, keys_of, outputs
from ppml_ops.spark.k8s.arrival import Arrived, td_name
from ppml_ops.spark.k8s.jvm import executor_argv, executor_id
from ppml_ops.spark.k8s.plan import LOCAL_FOLDER
from ppml_ops.spark.k8s.render import RPC_SECRET, pod_environment
from ppml_ops.spark.k8s.secret import rpc_secret, write_secret
from ppml_ops.spark.logfilter import EXIT_OF_CLASS, LifeCycle
from ppml_ops.spark.render import Submission, Tools, base_environment
from ppml_ops.spark.sealedlog import SealedLog, log_path
from ppml_ops.spark.supervisor import Supervisor
from ppml_ops.spark.tools import make_socket_folder, shared_socket_folder

_FAILED = 70
_SIGNALLED = 128


def run_executor(arrived: Arrived, tools: Tools, environment: Mapping[str, str], say: Voice) -> int:
    """From arrival to the end of the executor's JVM; returns the exit code.

    Raises:
        PpmlError: before the JVM started.
    """
    number = executor_id(environment)
    folder = PurePosixPath(arrived.work.folder)
    store = arrived.work.profile.platform.object_store is not None
    # Refused before anyone is asked for a key.
    argv = executor_argv(environment, tools, folder / "work" / "tmp", store=store)
    work = enter_td(arrived.work, td_name(arrived))
    bundle = keys_of(work)
    written = outputs(work, bundle)
    first = next(iter(written.values()))
    write_secret(Path(RPC_SECRET), rpc_secret(bundle.data_keys, arrived.plan.generation))
    make_socket_folder(shared_socket_folder(arrived.plan.generation))
    for name in WORK_FOLDERS:
        private_dir(work.folder / "work" / name)
    variables = executor_environment(tools, folder, environment) | pod_environment(work.profile)
    submission = Submission(argv, {}, variables)
    life = LifeCycle(error_conditions(Path(tools.spark_home)), user_code=True)
    path = log_path(work.binding(first.dataset), work.config.generation, number)
    with SealedLog(path, first.key, first.dataset) as log:
        supervisor = Supervisor(
            submission, log, life, say, grace=work.profile.stop_grace, clear=bundle.clear_logs
        )
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, supervisor.ask_to_end)
        say(f"executor {number} started")
        ended = supervisor.run(work.folder / "work")
    say(f"executor {number} ended")
    return ENDED_ON_REQUEST if supervisor.asked_to_end else pod_exit_code(ended, life.ppml_class)


def executor_environment(tools: Tools, folder: PurePosixPath, environment: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the JVM, which Python workers inherit; of the pod's only the executor's id."""
    return base_environment(tools, folder) | {
        "SPARK_LOCAL_DIRS": LOCAL_FOLDER,
        "SPARK_EXECUTOR_ID": executor_id(environment),
    }


def pod_exit_code(jvm: int, ppml_class: str | None) -> int:
    """Spark reads meaning into its own exit codes, so they stay; ours need the line that goes with them."""
    if jvm < 0:
        return _SIGNALLED - jvm
    if jvm in EXIT_OF_CLASS.values() and (ppml_class is None or EXIT_OF_CLASS[ppml_class] != jvm):
        return _FAILED
    return jvm

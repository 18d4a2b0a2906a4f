"""Starts a job on this host as a process tree, follows it, and decides whether it has succeeded.

The orchestrator's side: no key and no plaintext passes here. The tree leads a session of its own and writes its
life-cycle lines to a file, so it outlives the task that started it and a later one can attach to it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ppml_ops.errors import ConfigError, PpmlError
from ppml_ops.files import create_only, private_dir, write_private
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.jvm.build import build_jar
from ppml_ops.spark.placement import AgentConfig, Placement, device_of, missing_bindings
from ppml_ops.spark.platform_client import PlatformClient
from ppml_ops.spark.process import ProcessRecord
from ppml_ops.spark.profiles import Profile
from ppml_ops.spark.render import bytecode_folder
from ppml_ops.spark.running import LIFE_CYCLE, PROCESS, TD, Running
from ppml_ops.spark.tools import installed_tools, shared_socket_folder, socket_folder

#: Variables of this process that the entry point may see. Nothing else is inherited.
PASSED_ON = ("PATH", "HOME", "LANG", "JAVA_HOME", "TMPDIR")
#: And of a driver whose executors are pods: where the cluster is, and the path of the credentials for it.
CLUSTER = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")


def ignore(_line: str) -> None:
    """The callback of launchers whose lines nobody wants."""


class LocalLauncher:
    """Runs jobs with the local launcher of a profile.

    Args:
        profile: a profile with `launcher: local`.
        platform_socket: the simulated platform; needed when the profile's device is `socket`.
        on_line: gets each life-cycle line.
        environment: environment to take `PASSED_ON` and `CLUSTER` from; default: this process's.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        platform_socket: Path | None = None,
        on_line: Callable[[str], None] = ignore,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._profile = profile
        self._platform = platform_socket.absolute() if platform_socket else None
        self._on_line = on_line
        source = dict(os.environ) if environment is None else environment
        names = PASSED_ON + (CLUSTER if profile.launcher == "kubernetes" else ())
        self._environment = {"LANG": "C.UTF-8"} | {name: source[name] for name in names if name in source}

    def launch(self, job: SparkJob, placement: Placement) -> Running:
        """Start a new generation.

        Raises:
            ConfigError: profile, placement or installation do not fit, or the generation was started before.
            TransientError: the platform does not answer.
        """
        self._check(job, placement)
        folder = private_dir(Path(placement.folder))
        try:
            create_only(folder / "job.json", job.canonical())
        except FileExistsError:
            raise ConfigError(
                f"generation {placement.generation} was started before",
                next_step="attach to it, or begin a new generation",
            ) from None
        try:
            process = self._prepare_and_start(job, placement, folder)
        except BaseException:
            self._clean(folder, placement.generation)
            raise
        record = ProcessRecord.of(process.pid)
        write_private(folder / PROCESS, record.model_dump_json().encode())
        return self._running(job, placement, record, process)

    def _prepare_and_start(self, job: SparkJob, placement: Placement, folder: Path) -> subprocess.Popen[bytes]:
        code = _stage(Path(placement.code), job, folder / "code")
        write_private(folder / "profile.json", self._profile.model_dump_json().encode())
        shutil.rmtree(folder / "work", ignore_errors=True)
        (folder / "work").mkdir(mode=0o700)  # by us, now: bytecode that lay there would run
        config = AgentConfig(
            broker_url=placement.broker_url,
            broker_ca=placement.broker_ca,
            ticket=placement.ticket,
            job=str(folder / "job.json"),
            code=str(code),
            device=device_of(self._profile.device, str(self._platform)),
            tee=self._profile.tee,
            generation=placement.generation,
            bindings=placement.bindings,
        )
        write_private(folder / "agent.json", config.encode())
        return self._start(folder)

    def attach(self, job: SparkJob, placement: Placement) -> Running:
        """Follow a generation that another process started; ended ones give their outcome at once.

        Raises:
            ConfigError: the generation was never started.
        """
        folder = Path(placement.folder)
        try:
            record = ProcessRecord.model_validate_json((folder / PROCESS).read_bytes())
        except FileNotFoundError:
            raise ConfigError(
                f"generation {placement.generation} was not started here", next_step="launch a new generation"
            ) from None
        return self._running(job, placement, record, None)

    def _check(self, job: SparkJob, placement: Placement) -> None:
        if job.profile != self._profile.name:
            raise ConfigError(
                f"the job is for profile {job.profile!r}, the launcher has {self._profile.name!r}",
                next_step="launch it with its own profile",
            )
        if lacking := missing_bindings(job, placement):
            raise ConfigError(
                f"the placement lacks a folder or version for {', '.join(lacking)}",
                next_step="place every data set of the job, and give a version for each written one",
            )
        if self._profile.device == "socket" and self._platform is None:
            raise ConfigError(
                f"profile {self._profile.name!r} needs the simulated TEE platform",
                next_step="start it: ppml-ops services start",
            )
        build_jar()
        installed_tools()  # fail before anything is made

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        descriptor = os.open(folder / LIFE_CYCLE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-X",
                    f"pycache_prefix={bytecode_folder(PurePosixPath(folder))}",
                    "-m",
                    "ppml_ops.spark.entry",
                    str(folder / "agent.json"),
                ],
                cwd=folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    def _running(
        self,
        job: SparkJob,
        placement: Placement,
        record: ProcessRecord,
        process: subprocess.Popen[bytes] | None,
    ) -> Running:
        return Running(
            job,
            placement,
            self._profile,
            record,
            process,
            on_line=self._on_line,
            on_end=lambda: self._clean(Path(placement.folder), placement.generation),
        )

    def _clean(self, folder: Path, generation: str) -> None:
        """Remove plaintext folders and the TD of a generation that has ended; may be called again."""
        sockets = (socket_folder(folder), shared_socket_folder(generation))
        for path in (folder / "work", folder / "code", *sockets):
            shutil.rmtree(path, ignore_errors=True)
        if self._platform is None or not (folder / TD).exists():
            return
        try:
            PlatformClient(self._platform).destroy_td(json.loads((folder / TD).read_bytes())["td"])
            (folder / TD).unlink()
        except PpmlError as error:
            self._on_line(f"the TD of this generation was not destroyed: {error.what}")


def _stage(source: Path, job: SparkJob, target: Path) -> Path:
    """Copy the code bundle, so that what is measured is what runs, whatever happens to the original.

    Raises:
        ConfigError: there is no such file or folder.
    """
    try:
        if source.is_dir():
            shutil.copytree(source, target)
            return target
        private_dir(target)
        copy = target / Path(job.code.main).name
        shutil.copyfile(source, copy)
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise ConfigError(
            f"the code bundle {source} can't be copied: {error.strerror or 'a file is missing'}",
            next_step="give the path of the application's file or folder",
        ) from None
    return copy

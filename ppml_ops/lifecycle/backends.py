"""How a generation's driver is started, found again and ended: a process tree here, or pods in a cluster."""

import os
import shutil
from collections.abc import Callable
from typing import Protocol

from ppml_ops.errors import TransientError
from ppml_ops.lifecycle.generations import Generation
from ppml_ops.lifecycle.placements import host_placement
from ppml_ops.lifecycle.run import Run
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.launcher import LocalLauncher
from ppml_ops.spark.outcome import Outcome
from ppml_ops.spark.placement import Placement
from ppml_ops.spark.platform_client import destroy_recorded_td, platform_socket
from ppml_ops.spark.process import kill_tree

OnLine = Callable[[str], None]


class Handle(Protocol):
    """A job that was started."""

    @property
    def outcome(self) -> Outcome | None:
        """What `wait` saw; None before."""
        ...

    def wait(self) -> Outcome:
        """Follow to the end. Raises PpmlError as the job failed."""
        ...

    def stop(self, why: str = ...) -> None:
        """End it; bounded."""
        ...


class Backend(Protocol):
    """Drivers of one run."""

    def alive(self, generation: Generation) -> bool:
        """Something of its driver runs, or may run."""
        ...

    def adoptable(self, generation: Generation) -> bool:
        """It runs and may go on, or has ended while nobody waited, so that its end is still to be told."""
        ...

    def startable(self, generation: Generation) -> bool:
        """Its intent was recorded and nothing has come of it, so that this very one can still be started."""
        ...

    def start(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """Start its driver, once."""
        ...

    def follow(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """Follow a driver that was started before, or has ended."""
        ...

    def end(self, generation: Generation) -> None:
        """End its driver for good. Raises TransientError when that can't be proven."""
        ...

    def remove(self, generation: Generation) -> None:
        """Remove what an ended generation has left: work folders, TDs, objects in the cluster."""
        ...


class LocalBackend:
    """Process trees on this host."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def alive(self, generation: Generation) -> bool:
        """A process of it lives, by pid, start time and boot id."""
        process = generation.process
        return process is not None and process.alive()

    def adoptable(self, generation: Generation) -> bool:
        """Only what lives: the end of a process that nobody waited for can't be told from a kill."""
        return self.alive(generation)

    def startable(self, generation: Generation) -> bool:
        """Never: a folder that was begun is not used again."""
        return False

    def start(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """See `Backend`."""
        return self._launcher(on_line).launch(job, self._placement(generation, job))

    def follow(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """See `Backend`."""
        return self._launcher(on_line).attach(job, self._placement(generation, job))

    def end(self, generation: Generation) -> None:
        """Kill what is left of its processes. Raises TransientError when some survive."""
        process = generation.process
        if process is not None and not kill_tree(process):
            raise TransientError(
                f"processes of generation {generation.name} can't be ended, and there must not be two drivers",
                next_step="end them by hand",
            )

    def remove(self, generation: Generation) -> None:
        """See `Backend`."""
        if self._run.profile.device == "socket":
            destroy_recorded_td(platform_socket(self._run.home), generation.folder)
        for name in ("work", "code"):
            shutil.rmtree(generation.folder / name, ignore_errors=True)

    def _placement(self, generation: Generation, job: SparkJob) -> Placement:
        return host_placement(generation, job, self._run.nodes.names)

    def _launcher(self, on_line: OnLine) -> LocalLauncher:
        run = self._run
        socket_path = platform_socket(run.home) if run.profile.device == "socket" else None
        return LocalLauncher(
            run.profile, platform_socket=socket_path, on_line=on_line, environment=self._environment()
        )

    def _environment(self) -> dict[str, str]:
        """What the driver may see a part of."""
        return dict(os.environ)


def backend_of(run: Run) -> Backend:
    """The backend of a run by its profile."""
    if run.profile.launcher == "local":
        return LocalBackend(run)
    from ppml_ops.lifecycle.cluster_backends import ClientBackend, PodBackend

    return ClientBackend(run) if run.profile.platform.mode == "client" else PodBackend(run)

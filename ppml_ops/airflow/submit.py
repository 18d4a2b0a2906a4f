"""The stage `submit` as an operator, and the trigger that waits for a job in a cluster without a worker."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.sdk import Context
from airflow.sdk.configuration import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

from ppml_ops.airflow.handles import NodeHandle
from ppml_ops.airflow.orchestrator import OrchestratorStage
from ppml_ops.errors import PpmlError, TransientError
from ppml_ops.lifecycle.backends import Handle, backend_of
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import Run, load_run
from ppml_ops.lifecycle.submit import begin_or_adopt, submit
from ppml_ops.receipts.records import Facts, GoesOnError
from ppml_ops.spark.k8s.access import ClusterAccess

_LOOK_SECONDS = 3.0
#: Short: other triggers share the threads in which this one waits.
_PATIENCE_SECONDS = 10.0
_STOPPED = "its task was ended in Airflow"


class Submit(OrchestratorStage):
    """Run the Spark job in the TEE; returns one handle for each node that may hold parts of the result.

    Args:
        deferrable: give the worker back while a job runs in a cluster (modes `cluster` and `operator`); a
            triggerer must run then. A driver on the worker keeps it. Default: Airflow's
            `[operators] default_deferrable`.
    """

    stage = "submit"
    time_limit = timedelta(hours=25)  # the profile's own limit of a job is a day at most

    def __init__(self, *, deferrable: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self._running: Handle | None = None

    def execute(self, context: Context) -> Any:
        """Do the stage's work, or start the job and leave it to the trigger."""
        try:
            return super().execute(context)
        except GoesOnError:
            run = self.find_run(context)
            trigger = JobTrigger(
                str(run.home), run.key, run.cluster.model_dump(mode="json") if run.cluster else None
            )
            self.defer(
                trigger=trigger, method_name="finish", timeout=timedelta(seconds=run.profile.time_limit + 3600)
            )

    def finish(self, context: Context, event: dict[str, Any]) -> Any:
        """The job needs attention: it has ended, or must be. Its record says how it ended."""
        self.deferrable = False
        return self.execute(context)

    def work(self, run: Run, facts: Facts, context: Context) -> list[NodeHandle]:
        """See `ppml_ops.lifecycle.submit`."""

        def started(running: Handle) -> None:
            self._running = running

        if self.deferrable and run.profile.launcher == "kubernetes" and run.profile.platform.mode != "client":
            begin_or_adopt(run, facts, self.log.info)
            raise GoesOnError
        done = submit(run, facts, on_line=self.log.info, started=started)
        return [NodeHandle(node=node, generation=done.generation) for node in done.nodes]

    def on_kill(self) -> None:
        """The task was ended in Airflow: end the job as well."""
        if self._running is not None:
            self._running.stop(_STOPPED)


class JobTrigger(BaseTrigger):
    """Waits until a run's last generation needs attention; looks, and never acts.

    Args:
        home: the state folder.
        run_key: the run.
        cluster: `ClusterAccess` as JSON data: paths and names, no credentials.
    """

    def __init__(self, home: str, run_key: str, cluster: dict[str, Any] | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.home, self.run_key, self.cluster = home, run_key, cluster

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        return f"{__name__}.JobTrigger", {"home": self.home, "run_key": self.run_key, "cluster": self.cluster}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, at the end."""
        while not await asyncio.to_thread(self._needs_attention):
            await asyncio.sleep(_LOOK_SECONDS)
        yield TriggerEvent({"run_key": self.run_key})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """A person stopped the task: end the job."""
        await asyncio.to_thread(self._end)

    @cached_property
    def _run(self) -> Run:
        """Made once: a way into the cluster costs a handshake, and perhaps a credential plugin."""
        access = ClusterAccess.model_validate(self.cluster) if self.cluster is not None else None
        run = load_run(Path(self.home), self.run_key)
        return run.model_copy(update={"cluster": access, "patience": _PATIENCE_SECONDS})

    def _needs_attention(self) -> bool:
        from ppml_ops.lifecycle.cluster_backends import PodBackend

        try:
            backend = backend_of(self._run)
            assert isinstance(backend, PodBackend)  # Submit defers no other
            return backend.needs_attention(generations(self._run)[-1])
        except TransientError:
            return False  # an API server that is away says nothing about the job
        except PpmlError:
            return True  # whoever submits meets the same error, and reports it

    def _end(self) -> None:
        for generation in generations(self._run):
            backend_of(self._run).end(generation)

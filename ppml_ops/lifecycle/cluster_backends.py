"""Drivers of a run that uses a cluster: in a pod, or, in client mode, on this host with executors in pods."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, PpmlError, TransientError
from ppml_ops.files import private_dir, write_private
from ppml_ops.lifecycle.backends import Handle, LocalBackend, OnLine
from ppml_ops.lifecycle.generations import Generation
from ppml_ops.lifecycle.nodes import WORKER_NODE
from ppml_ops.lifecycle.placements import host_placement, pod_placement
from ppml_ops.lifecycle.run import Run
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.k8s.access import ClusterAccess, default_kubeconfig
from ppml_ops.spark.k8s.bundle import pack
from ppml_ops.spark.k8s.following import PodJob
from ppml_ops.spark.k8s.launcher import Start, make_config, remove, start
from ppml_ops.spark.k8s.plan import PODS, PodPlan
from ppml_ops.spark.outcome import Outcome
from ppml_ops.spark.placement import Placement
from ppml_ops.spark.running import EXIT, Running

#: In the generation's folder: its driver was made or found, so it must not be made again.
_MADE = "made.json"
_GONE_SECONDS = 30.0
_WATCH_SECONDS = 3.0


def start_of(generation: Generation, job: SparkJob, address: str | None = None) -> Start:
    """What the pods of a generation are made of; `address` is that of a driver on this host.

    Raises:
        ConfigError: the code bundle is too large, or an input is out of the pods' reach.
    """
    run, placement = generation.run, pod_placement(generation, job)
    code = pack(Path(placement.code))
    plan = PodPlan(
        run_key=run.key,
        generation=generation.name,
        code_pieces=len(code),
        nodes=tuple(str(node) for node in run.records.facts("preflight")["cluster_nodes"]),
        driver_address=address,
    )
    return Start(job, run.profile, placement, plan, code)


def _pods(generation: Generation, on_line: OnLine = lambda _line: None) -> PodJob:
    run = generation.run
    return PodJob(run.cluster_api, run.profile, run.key, generation.name, on_line=on_line)


def _remove(generation: Generation, *, config: bool = True) -> None:
    run = generation.run
    remove(run.cluster_api, run.profile.platform.namespace, run.key, generation.name, config=config)


class PodBackend:
    """Drivers in pods: cluster mode, and SparkApplications."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def alive(self, generation: Generation) -> bool:
        """Its driver's pod is there and has not ended, or the Spark operator may still make it."""
        seen = _pods(generation).look()
        profile = self._run.profile
        longest = profile.time_limit + profile.platform.start_limit
        if seen.driver is not None:
            never_placed = seen.driver.phase == "pending" and not seen.driver.node
            return seen.driver.phase != "ended" and not (never_placed and seen.driver.age > longest)
        return seen.application is not None

    def adoptable(self, generation: Generation) -> bool:
        """Not a driver that was asked to end: it is waited for, and another one begun."""
        if (generation.folder / EXIT).exists():
            return False  # its end was told; whether it was a good one stands there
        seen = _pods(generation).look()
        if seen.driver is None:
            return seen.application is not None
        return not seen.driver.leaving or seen.driver.phase in ("ended", "lost")

    def needs_attention(self, generation: Generation) -> bool:
        """Whether its driver has ended, or whoever follows it must act; only looks, for triggers."""
        return _pods(generation).needs_attention()

    def startable(self, generation: Generation) -> bool:
        """Its driver was never seen to be made: its name sees to it that there is one at most."""
        return not (generation.folder / _MADE).exists()

    def start(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """See `Backend`."""
        made_of = start_of(generation, job)
        self._run.nodes.prepare()
        start(self._run.cluster_api, made_of)
        return self.follow(generation, job, on_line)

    def follow(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """See `Backend`."""
        write_private(private_dir(generation.folder) / _MADE, canonical_json({"job": job.job_digest}))
        return KeptJob(_pods(generation, on_line), generation)

    def end(self, generation: Generation) -> None:
        """Delete its driver and see it gone; executors go with it. Raises TransientError when it stays."""
        _remove(generation, config=False)
        deadline = time.monotonic() + self._run.profile.stop_grace + _GONE_SECONDS
        job = _pods(generation)
        while True:
            seen = job.look()
            running = [one for one in (seen.driver, *seen.executors) if one and one.phase != "ended"]
            if not running and seen.application is None:
                return
            if time.monotonic() > deadline:
                why = f": {running[0].why or f'on node {running[0].node}'}" if running else ""
                raise TransientError(
                    f"pods of generation {generation.name} do not end, and there must not be two drivers{why}",
                    next_step="look at that node; delete it from the cluster if it does not come back",
                )
            time.sleep(1)

    def remove(self, generation: Generation) -> None:
        """See `Backend`."""
        _remove(generation)


class KeptJob:
    """A `PodJob` whose end is written down, so that it is known when its pods are gone."""

    def __init__(self, job: PodJob, generation: Generation) -> None:
        self._job = job
        self._generation = generation
        self.outcome: Outcome | None = None

    def wait(self) -> Outcome:
        """See `PodJob`; of a driver that was seen to end well, what was recorded."""
        known = self._generation.exit_record or {}
        if known.get("exit_code") == 0:
            self.outcome = Outcome(0, known.get("application_id"), 0.0, ())
            return self.outcome
        try:
            return self._job.wait()
        finally:
            self.outcome = self._job.outcome
            if self.outcome is not None:
                record = {
                    "exit_code": self.outcome.exit_code,
                    "application_id": self.outcome.application_id,
                    "node": self._generation.run.nodes.driver or self._job.node,
                    "disk": self._job.node,
                }
                write_private(self._generation.folder / EXIT, canonical_json(record))

    def stop(self, why: str = "it was ended on request") -> None:
        """See `PodJob`."""
        self._job.stop(why)


class ClientBackend(LocalBackend):
    """The driver is a process tree on this host, its executors are pods."""

    def start(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """See `Backend`."""
        run = self._run
        made_of = start_of(generation, job, own_address(run.cluster_api.transport.host))
        run.nodes.prepare()
        make_config(run.cluster_api, made_of)
        write_private(private_dir(generation.folder) / PODS, made_of.plan.encode())
        running = self._launcher(on_line).launch(job, self._placement(generation, job))
        return WatchedJob(running, _pods(generation))

    def follow(self, generation: Generation, job: SparkJob, on_line: OnLine) -> Handle:
        """See `Backend`."""
        running = self._launcher(on_line).attach(job, self._placement(generation, job))
        return WatchedJob(running, _pods(generation))

    def end(self, generation: Generation) -> None:
        """See `Backend`."""
        super().end(generation)
        _remove(generation, config=False)

    def remove(self, generation: Generation) -> None:
        """See `Backend`."""
        super().remove(generation)
        _remove(generation)

    def _placement(self, generation: Generation, job: SparkJob) -> Placement:
        return host_placement(generation, job, (WORKER_NODE,))

    def _environment(self) -> dict[str, str]:
        access = self._run.cluster or ClusterAccess()
        if access.context is not None:
            raise ConfigError(
                f"a driver on the worker uses the kubeconfig's current context, not {access.context!r}",
                next_step="give a kubeconfig whose current context is the right one, or use mode `cluster`",
            )
        file = None if access.in_cluster else (access.kubeconfig or default_kubeconfig())
        return super()._environment() | ({"KUBECONFIG": str(file)} if file else {})


class WatchedJob:
    """A local driver whose executors are watched: Spark alone would wait for ever for pods that can't start."""

    def __init__(self, running: Running, pods: PodJob) -> None:
        self._running = running
        self._pods = pods
        self._found: PpmlError | None = None
        self._over = threading.Event()

    @property
    def outcome(self) -> Outcome | None:
        """See `Running`."""
        return self._running.outcome

    def wait(self) -> Outcome:
        """See `Running`; what its executors were refused counts for more than that Spark gave up."""
        watcher = threading.Thread(target=self._watch, name="executors", daemon=True)
        watcher.start()
        try:
            return self._running.wait()
        except PpmlError:
            with suppress(PpmlError):
                self._found = self._found or self._pods.executors_refused()
            if self._found is not None:
                raise self._found from None
            raise
        finally:
            self._over.set()
            watcher.join(timeout=60)

    def stop(self, why: str = "it was ended on request") -> None:
        """See `Running`."""
        self._running.stop(why)

    def _watch(self) -> None:
        while not self._over.wait(_WATCH_SECONDS):
            try:
                self._pods.check_executors()
            except TransientError as error:
                if not self._pods.given_up:
                    continue  # the API server is away; Spark goes on without it
                self._found = error
            except PpmlError as error:
                self._found = error
            if self._found is not None:
                self._running.stop(self._found.what)
                return


def own_address(api: str) -> str:
    """The address of this host on its way to the API server: there pods of that cluster find it.

    Raises:
        TransientError: there is no route.
    """
    parts = urlsplit(api)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)  # sends nothing
            return str(probe.getsockname()[0])
    except OSError as error:
        raise TransientError(
            f"no route to the API server {parts.hostname}: {error.strerror or error}",
            next_step="check this worker's network",
        ) from None

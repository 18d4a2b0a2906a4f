"""Following a driver that runs in a pod: its lines, its executors, its end, and what came of it.

The API server is asked again and again instead of watched: a poll survives every restart on either side, and a
job takes minutes. `seen.trouble` decides from what was seen; `PodJob` acts.
"""

import time
from collections.abc import Callable, Sequence

from ppml_ops.errors import ConfigError, PpmlError, TransientError, WorkloadError, error_from_exit_code
from ppml_ops.spark.driving import EXECUTORS_FAILED
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.names import driver_name
from ppml_ops.spark.k8s.podlogs import read_log
from ppml_ops.spark.k8s.pods import DRIVER_CONTAINER
from ppml_ops.spark.k8s.seen import Seen, Trouble, look, refused_of, trouble
from ppml_ops.spark.k8s.status import DEADLINE, PodState, pod_state, quota_use
from ppml_ops.spark.k8s.trouble import trouble as pod_trouble
from ppml_ops.spark.outcome import LOGS, Outcome, failure_of, refusal
from ppml_ops.spark.profiles import Profile

POLL_SECONDS = 2.0
_LOG_PATIENCE = 5.0
_LOOKS_WITHOUT = 5
_WORKLOAD_FAILED = 70


class PodJob:
    """One generation whose driver runs in a pod.

    `outcome` is set once `wait` has seen the end, also when `wait` raises; `node` once the driver has one.
    """

    def __init__(
        self,
        cluster: Cluster,
        profile: Profile,
        run_key: str,
        generation: str,
        *,
        on_line: Callable[[str], None],
    ) -> None:
        self.outcome: Outcome | None = None
        self.node: str | None = None
        self.given_up = False
        self._cluster = cluster
        self._profile = profile
        self._run_key = run_key
        self._generation = generation
        self._on_line = on_line
        self._ended_because: str | None = None
        self._since = ""
        self._lines: list[str] = []
        self._start = time.monotonic()
        self._log_is_silent = False
        self._name = f"the job of generation {generation}"

    def look(self) -> Seen:
        """One look, remembered."""
        seen = look(self._cluster, self._profile, self._run_key, self._generation)
        if seen.driver is not None:
            self.node = seen.driver.node or self.node
        return seen

    def needs_attention(self) -> bool:
        """Whether `wait` would have something to do but wait: for triggers, which only look."""
        seen = self.look()
        if seen.driver is None and seen.application is None:
            return True
        over = seen.driver is not None and seen.driver.phase in ("ended", "lost")
        return over or trouble(seen, self._profile, self._cluster.now()) is not None

    def wait(self) -> Outcome:
        """Follow to the end; returns the outcome of a driver that ended with exit code 0.

        Whether it published its results is for the caller to see.

        Raises:
            PpmlError: the class of the exit code (70 to 78), or of a refused executor.
            ConfigError: a pod can't start whatever one waits for.
            TransientError: no room, nobody reports, or the driver's pod is gone.
            WorkloadError: failed, ended on request or by the time limit.
        """
        missing, lost_since = 0, None
        while True:
            seen = self.look()
            driver = seen.driver
            if driver is not None and driver.phase in ("running", "ended"):
                self._print()
            if driver is not None and driver.phase == "ended":
                return self._end(driver, seen.executors)
            if self._ended_because is None and (found := trouble(seen, self._profile, self._cluster.now())):
                self._give_up(found, seen)
            # A list may be older than the object that was just made.
            missing = missing + 1 if driver is None and seen.application is None else 0
            if missing > _LOOKS_WITHOUT:
                return self._end(None, seen.executors)
            lost_since = (lost_since or time.monotonic()) if driver and driver.phase == "lost" else None
            if lost_since and time.monotonic() - lost_since > self._profile.platform.start_limit:
                raise TransientError(
                    f"{self._name}: node {self.node} does not report any more; its driver may still run there, "
                    "so no other is started",
                    next_step="bring the node back, or delete it from the cluster; then clear `submit`",
                )
            time.sleep(POLL_SECONDS)

    def check_executors(self) -> None:
        """One look at the executors of a driver that runs elsewhere, in client mode.

        Raises:
            PpmlError: as `wait`, when they can't start or were refused too often; `given_up` is true then.
        """
        seen = look(self._cluster, self._profile, self._run_key, self._generation)
        driver = PodState("running", None, 0.0, running=time.monotonic() - self._start)
        if found := trouble(seen._replace(driver=driver), self._profile, self._cluster.now()):
            self._give_up(found, seen)

    def executors_refused(self) -> PpmlError | None:
        """The refusal that executors reported, if any did."""
        return self._refused(look(self._cluster, self._profile, self._run_key, self._generation).executors)

    def stop(self, why: str = "it was ended on request") -> None:
        """End the driver, whose end takes its executors along; bounded by the profile's grace."""
        self._ended_because = self._ended_because or why
        namespace, platform = self._profile.platform.namespace, self._profile.platform
        if platform.mode == "operator":
            self._cluster.delete("SparkApplication", namespace, self._generation)
        self._cluster.delete(
            "Pod", namespace, driver_name(self._generation), grace=round(self._profile.stop_grace) + 5
        )

    def _print(self) -> None:
        """Lines of our entry point, the only ones; after a lost connection from where they ended.

        A log that can't be read decides nothing: how a driver ended stands in its pod.
        """
        driver = (self._profile.platform.namespace, driver_name(self._generation), DRIVER_CONTAINER)
        try:
            for line in read_log(self._cluster, *driver, since=self._since, patience=_LOG_PATIENCE):
                self._since = line.at
                self._lines.append(line.text)
                self._on_line(line.text)
            self._log_is_silent = False
        except PpmlError as error:
            if not self._log_is_silent:
                self._on_line(f"the driver's log can't be read now: {error.what}")
            self._log_is_silent = True

    def _give_up(self, found: Trouble, seen: Seen) -> None:
        """End it and say why, with what events and quotas of the namespace add.

        Raises:
            WorkloadError: it ran too long.
            ConfigError: it can't start.
            TransientError: it may start another time.
            PpmlError: executors were refused; the class of their exit code.
        """
        refused = self._refused(seen.executors) if found.refused else None
        late = seen.driver is not None and seen.driver.running > self._profile.time_limit
        cause = None if refused or late or not seen.waiting else self._cause(seen.waiting[0])
        quotas = "" if refused or late else self._quotas()
        self.given_up = True
        self.stop(found.why)
        if refused is not None:
            raise refused
        if late:
            raise WorkloadError(
                f"{self._name} was ended: {found.why}",
                next_step="make the job faster, or raise time_limit in the profile",
            )
        details = [cause.what if cause else "", quotas]
        what = "; ".join([f"{self._name} was ended: {found.why}", *filter(None, details)])
        if cause is not None:
            raise type(cause)(what, next_step=cause.next_step, who=cause.who)
        if found.permanent:
            raise ConfigError(what, next_step="correct the profile or the cluster, then clear `submit`")
        raise TransientError(what, next_step="make room in the cluster, or raise start_limit in the profile")

    def _cause(self, pod: Object) -> PpmlError | None:
        """Why a pod does not run, as far as the cluster says it."""
        meta = pod["metadata"]
        try:
            events = self._cluster.events(meta["namespace"], meta["uid"])
        except PpmlError:
            events = []
        return pod_trouble(pod, events, pod_state(pod, self._cluster.now()).age)

    def _quotas(self) -> str:
        """What the namespace's quotas leave: who makes a pod beyond them leaves no event."""
        try:
            quotas = quota_use(self._cluster.find("ResourceQuota", self._profile.platform.namespace))
        except PpmlError:
            return ""
        return f"quota {quotas}" if quotas else ""

    def _refused(self, executors: Sequence[PodState]) -> PpmlError | None:
        """The refusal that an executor's entry point reported; they count, the last one is shown."""
        refused = refused_of(executors)
        if not refused:
            return None
        last = refused[-1]
        name = f"{self._name}: {len(refused)} executors were refused; the last one"
        found = refusal(last.exit_code or 0, last.report.line or "", name)
        return found or error_from_exit_code(
            last.exit_code or 0, f"{name} ended with exit code {last.exit_code}", next_step="look at its pod"
        )

    def _lost_executors(self, executors: Sequence[PodState]) -> PpmlError | None:
        """The error when Spark gave up because executors failed, with the true reason; None when it did not.

        Spark counts those that it could not make, too: beyond a quota, for example.
        """
        most = self._profile.platform.executor_failures
        refused = refused_of(executors)
        if len(refused) <= most and not any(line.startswith(EXECUTORS_FAILED) for line in self._lines):
            return None
        if refused:
            return self._refused(executors)
        codes = [str(one.exit_code) for one in executors if one.exit_code]
        details = [f"exit codes {', '.join(codes)}" if codes else "none was made", self._quotas()]
        what = f"{self._name}: more than {most} executors failed ({'; '.join(filter(None, details))})"
        if len(codes) > most:
            return WorkloadError(what, next_step=LOGS)
        return TransientError(what, next_step="make room in the cluster; the task begins a new generation")

    def _end(self, driver: PodState | None, executors: Sequence[PodState]) -> Outcome:
        code = driver.exit_code if driver is not None else None
        report = driver.report if driver is not None else None
        lines = [*self._lines, *([report.line] if report and report.line else [])]
        application = report.application_id if report is not None else None
        self.outcome = Outcome(code, application, time.monotonic() - self._start, tuple(lines))
        if code == _WORKLOAD_FAILED and (lost := self._lost_executors(executors)) is not None:
            raise lost
        if driver is not None and driver.why.startswith(DEADLINE) and self._ended_because is None:
            self._ended_because = f"it ran longer than its limit of {self._profile.time_limit} s"
        if driver is None and self._ended_because is None:
            raise TransientError(
                f"{self._name}: its driver's pod is gone and left no exit code, so it counts as failed",
                next_step="look at the cluster's events; the task begins a new generation",
            )
        if code is None and driver is not None and self._ended_because is None:
            raise TransientError(
                f"{self._name}: its driver was ended from outside ({driver.why or 'no reason is given'})",
                next_step="look at the node's memory and events; the task begins a new generation",
            )
        if (error := failure_of(self.outcome, self._name, self._ended_because)) is not None:
            raise error
        return self.outcome

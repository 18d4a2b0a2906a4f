"""One look at a generation in the cluster, and what of it will not get better by waiting longer."""

from collections.abc import Sequence
from typing import NamedTuple

from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.names import ROLE, driver_name, generation_labels
from ppml_ops.spark.k8s.refusals import shown
from ppml_ops.spark.k8s.status import PodState, pod_state, seconds_of
from ppml_ops.spark.profiles import Profile

#: Exit codes of a pod of ours that was refused its keys or found damage; see ppml_ops.errors.
_REFUSED = frozenset({75, 76, 77, 78})


class Seen(NamedTuple):
    """One look at a generation. `driver` is None when there is no such pod."""

    driver: PodState | None
    executors: tuple[PodState, ...]
    application: Object | None = None
    #: Pods that do not run yet, as the cluster describes them; the driver's first.
    waiting: tuple[Object, ...] = ()


class Trouble(NamedTuple):
    """Why a generation must be ended now; `permanent` means that trying again can't help."""

    why: str
    permanent: bool
    refused: bool = False


def look(cluster: Cluster, profile: Profile, run_key: str, generation: str) -> Seen:
    """Ask the cluster. Raises ConfigError and TransientError as every call to it."""
    namespace, now = profile.platform.namespace, cluster.now()
    labels = generation_labels(run_key, generation)
    driver, executors, waiting = None, [], []
    for pod in cluster.find("Pod", namespace, labels):
        state = pod_state(pod, now)
        if state.phase == "pending":
            waiting.append(pod)
        if pod["metadata"]["labels"].get(ROLE) == "executor":
            executors.append(state)
        elif pod["metadata"]["name"] == driver_name(generation):
            driver = state
    application = None
    if driver is None and profile.platform.mode == "operator":
        application = cluster.get("SparkApplication", namespace, generation)
    waiting.sort(key=lambda pod: pod["metadata"]["name"] != driver_name(generation))
    return Seen(driver, tuple(executors), application, tuple(waiting))


def trouble(seen: Seen, profile: Profile, now: float) -> Trouble | None:
    """What, of a look, will not get better by waiting longer. Pure; `now` is Unix seconds."""
    limit = profile.platform.start_limit
    driver = seen.driver
    if driver is None:
        return _application_trouble(seen.application, limit, now)
    if driver.phase == "pending" and (driver.never_starts or driver.age > limit):
        return Trouble(
            f"its driver did not start within {driver.age:.0f} s: {driver.why or 'no reason is given'}",
            driver.never_starts,
        )
    if driver.phase != "running":
        return None
    if driver.running > profile.time_limit:
        return Trouble(f"it ran longer than its limit of {profile.time_limit} s", True)
    refused = refused_of(seen.executors)
    if len(refused) > profile.platform.executor_failures:
        return Trouble(f"{len(refused)} executors were refused", True, refused=True)
    alive = [one for one in seen.executors if one.phase == "running"]
    waiting = [one for one in seen.executors if one.phase == "pending"]
    if alive:
        return None  # a job goes on with the executors that it has
    if driver.running > limit and not any(one.phase == "ended" for one in seen.executors):
        reasons = next((one.why for one in waiting if one.why), "none could be made")
        return Trouble(f"no executor started within {driver.running:.0f} s: {reasons}", False)
    if broken := next((one for one in waiting if one.never_starts), None):
        return Trouble(f"an executor can't start: {broken.why}", True)
    return None


def _application_trouble(application: Object | None, limit: int, now: float) -> Trouble | None:
    if application is None:
        return None
    state = application.get("status", {}).get("applicationState", {})
    if state.get("state") in ("FAILED", "SUBMISSION_FAILED", "FAILING"):
        said = str(state.get("errorMessage") or "it gives no reason")
        said = said[max(said.find("Exception in thread"), 0) :]  # before it: Java's warnings
        return Trouble(f"the Spark operator says {state['state']}: {shown(said, 400)}", False)
    age = now - seconds_of(application["metadata"].get("creationTimestamp"))
    if age > limit:
        return Trouble(
            f"the Spark operator made no driver within {age:.0f} s "
            f"(state {state.get('state') or 'none: does it run?'})",
            False,
        )
    return None


def refused_of(executors: Sequence[PodState]) -> list[PodState]:
    """Those that were refused their keys, or found damage, in the order of the list."""
    return [one for one in executors if one.exit_code in _REFUSED]

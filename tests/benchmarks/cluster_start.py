"""From submit to the first task on a cluster, ours against bare spark-submit."""

import os
import statistics
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from ppml_ops.errors import ConfigError, WorkloadError
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.podlogs import read_log
from ppml_ops.spark.k8s.pods import DRIVER_CONTAINER
from ppml_ops.spark.k8s.status import pod_state
from ppml_ops.spark.tools import spark_home
from tests.benchmarks.report import Options, Report, Table
from tests.support import cluster as support
from tests.support.cluster_world import World, running_world, simulated_platform

ROUNDS = 3
_FIRST = date(2022, 1, 1)
_PROFILES = ("cluster", "operator", "client")
_IMAGE = "PPML_OPS_BENCH_SPARK_IMAGE"
_NAMESPACE = "PPML_OPS_BENCH_NAMESPACE"
_PI = "local:///opt/spark/examples/src/main/python/pi.py"
_CPU, _MEMORY = "100m", "512m"
_PAUSE_SECONDS = 0.5


def run(options: Options) -> Report:
    """Measure, on the cluster that tests use too, in an installation of its own.

    Raises:
        ConfigError: there is no cluster, or no image for the bare run.
        PpmlError: a run fails.
    """
    if not (image := os.environ.get(_IMAGE)):
        raise ConfigError(
            f"{_IMAGE} is not set", next_step="name a plain Spark image with Python that the nodes have"
        )
    rounds = options.rounds or ROUNDS
    try:
        cluster = support.Cluster(support.find_kubeconfig())
        ours_image, sim = (support.find_image(kind, cluster.kubeconfig) for kind in ("spark", "sim"))
    except support.NoClusterError as error:
        raise ConfigError(str(error), next_step="see docs/kubernetes.md") from None
    bare: list[float] = []
    ours: dict[str, list[float]] = {name: [] for name in _PROFILES}
    with (
        TemporaryDirectory() as folder,
        simulated_platform(cluster, sim) as nodes,
        running_world(cluster, ours_image, nodes, Path(folder)) as world,
    ):
        for number in range(rounds + 1):  # the first one warms caches
            seconds = [_bare(world.api, image), *(_ours(world, f"k-{name}", number) for name in _PROFILES)]
            if number:
                for values, one in zip((bare, *ours.values()), seconds, strict=True):
                    values.append(one)
    base = statistics.median(bare)
    rows = [("bare spark-submit, cluster mode", f"{base:.1f}", "1.00", _all(bare))]
    for name in _PROFILES:
        middle = statistics.median(ours[name])
        rows.append((f"PPML Ops, mode {name}", f"{middle:.1f}", f"{middle / base:.2f}", _all(ours[name])))
    return Report(
        name="cluster_start",
        title="From submit to the first task on a cluster",
        measured=(
            f"{rounds} rounds, one of each in turn, two executors of {_MEMORY} with {_CPU} of CPU each. Bare: "
            "from the start of `spark-submit --deploy-mode cluster` of Spark's own pi.py to the line of the "
            "driver's log that starts the first task, looked at each half second. Ours: from the start of "
            "`submit`, which places inputs again, to the line of the first stage that the worker sees; "
            "driver and executors attest twice each on the way."
        ),
        reading="Both wait for two executors; Spark's default is to begin with 80 % of them, ours with all.",
        tables=(Table("median, ratio, all rounds", ("", "seconds", "ratio", "rounds"), tuple(rows)),),
    )


def _all(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _ours(world: World, profile: str, number: int) -> float:
    day = _FIRST + timedelta(days=_PROFILES.index(profile.removeprefix("k-")) + 10 * number)
    life = world.run(profile, day).to("attest")
    first: list[float] = []

    class Lines(list[str]):
        def append(self, line: str) -> None:
            if line.startswith("stage ") and not first:
                first.append(time.monotonic())
            super().append(line)

    life.lines = Lines()
    begun = time.monotonic()
    life.finish()
    return first[0] - begun


def _bare(cluster: Cluster, image: str) -> float:
    namespace = os.environ.get(_NAMESPACE, "spark")
    name = f"bare-{time.time_ns()}"
    settings = {
        "spark.kubernetes.namespace": namespace,
        "spark.kubernetes.authenticate.driver.serviceAccountName": "spark",
        "spark.kubernetes.container.image": image,
        "spark.kubernetes.container.image.pullPolicy": "IfNotPresent",
        "spark.kubernetes.driver.pod.name": name,
        "spark.kubernetes.driver.request.cores": _CPU,
        "spark.kubernetes.executor.request.cores": _CPU,
        "spark.driver.memory": _MEMORY,
        "spark.executor.memory": _MEMORY,
        "spark.executor.instances": "2",
        "spark.kubernetes.submission.waitAppCompletion": "false",
    }
    command = [
        str(spark_home() / "bin/spark-submit"), "--master", f"k8s://{cluster.transport.host}",
        "--deploy-mode", "cluster", "--name", name,
        *(word for key, value in settings.items() for word in ("--conf", f"{key}={value}")),
        _PI, "2",
    ]  # fmt: skip
    environment = os.environ | {"SPARK_HOME": str(spark_home())}
    environment.pop("PYSPARK_PYTHON", None)  # it would become that of the pods
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, check=False, cwd=Path("/"))
    if done.returncode != 0:
        raise WorkloadError(
            f"spark-submit ended with {done.returncode}: {done.stderr.decode()[-500:]}",
            next_step="run it by hand",
        )
    try:
        phase = "pending"
        while phase in ("pending", "running"):
            pod = cluster.get("Pod", namespace, name)
            state = pod_state(pod, cluster.now()) if pod else None
            phase = state.phase if state and not state.never_starts else "lost"
            has_log = phase in ("running", "ended")
            lines = list(read_log(cluster, namespace, name, DRIVER_CONTAINER)) if has_log else []
            if any("Starting task 0.0 in stage 0.0" in line.text for line in lines):
                return time.monotonic() - begun
            time.sleep(_PAUSE_SECONDS)
    finally:
        cluster.delete("Pod", namespace, name, grace=0)
    raise WorkloadError(f"the bare job started no task: {lines[-3:]}", next_step="look at its pod")

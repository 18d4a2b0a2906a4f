"""From submit to the first task on a cluster, ours against bare spark-submit."""

import os
import statistics
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from ppml_ops.errors import ConfigError, WorkloadError
from ppml_ops.settings import Settings
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.podlogs import follow_log
from ppml_ops.spark.tools import spark_home
from tests.benchmarks.report import Options, Report, Table
from tests.support.life_cycle import LifeCycle

ROUNDS = 3
_FIRST = date(2022, 1, 1)
_PROFILES = ("cluster", "operator", "client")
_IMAGE = "PPML_OPS_BENCH_SPARK_IMAGE"
_NAMESPACE = "PPML_OPS_BENCH_NAMESPACE"
_PI = "local:///opt/spark/examples/src/main/python/pi.py"
_CPU, _MEMORY = "100m", "512m"


def run(options: Options) -> Report:
    """Measure; the installation of PPML_OPS_HOME has set-up profiles `k-cluster`, `k-operator`, `k-client`.

    Raises:
        ConfigError: there is no image for the bare run.
        PpmlError: a run fails.
    """
    if not (image := os.environ.get(_IMAGE)):
        raise ConfigError(
            f"{_IMAGE} is not set", next_step="name a plain Spark image with Python that the nodes have"
        )
    rounds = options.rounds or ROUNDS
    cluster = Cluster(ClusterAccess())
    bare, ours = [], {name: [] for name in _PROFILES}  # type: ignore[var-annotated]
    for number in range(rounds):
        bare.append(_bare(cluster, image, number))
        for name in _PROFILES:
            ours[name].append(_ours(f"k-{name}", number))
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
            "driver's log that starts the first task. Ours: from the start of `submit`, which "
            "places inputs again, to the life-cycle line of the first stage as the worker sees it; driver and "
            "executors attest twice each on the way."
        ),
        reading="Both wait for two executors; Spark's default is to begin with 80 % of them, ours with all.",
        tables=(Table("median, ratio, all rounds", ("", "seconds", "ratio", "rounds"), tuple(rows)),),
    )


def _all(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _ours(profile: str, number: int) -> float:
    day = _FIRST + timedelta(days=_PROFILES.index(profile.removeprefix("k-")) + 10 * number)
    life = LifeCycle(Settings().home, day, name=f"bench-{time.time_ns()}", profile=profile).to("attest")
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


def _bare(cluster: Cluster, image: str, number: int) -> float:
    namespace = os.environ.get(_NAMESPACE, "spark")
    name = f"bare-{number}-{time.time_ns()}"
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
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(spark_home())}
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, check=False, cwd=Path("/"))
    if done.returncode != 0:
        raise WorkloadError(
            f"spark-submit ended with {done.returncode}: {done.stderr.decode()[-500:]}",
            next_step="run it by hand",
        )
    try:
        for line in follow_log(cluster, namespace, name, "spark-kubernetes-driver"):
            if "Starting task 0.0 in stage 0.0" in line.text:
                return time.monotonic() - begun
    finally:
        cluster.delete("Pod", namespace, name, grace=0)
    raise WorkloadError("the bare job started no task", next_step="look at its pod")

"""Profiles, plans and environments of pods for tests."""

from pathlib import Path
from typing import Any

from ppml_ops.spark.job import Resources, SparkJob
from ppml_ops.spark.k8s.bundle import pack
from ppml_ops.spark.k8s.plan import AGENT, BROKER_CA, CODE_PIECE, JOB, PODS, PROFILE, THIS_NODE, TICKET, PodPlan
from ppml_ops.spark.placement import AgentConfig, Base, Binding, NoDevice
from ppml_ops.spark.profiles import Profile, load_profile
from tests.unit.spark.builders import job

GENERATION = "simple-query-20261120-0123456789ab-g1"


def plan(**changes: Any) -> PodPlan:
    fields: dict[str, Any] = {
        "run_key": "simple-query-20261120-0123456789ab",
        "generation": GENERATION,
        "code_pieces": 1,
        "nodes": ("node-1", "node-2"),
    }
    return PodPlan(**(fields | changes))


def profile() -> Profile:
    return load_profile("k8s")


def pod_job(**resources: Any) -> SparkJob:
    """A job with two executors, whose conf tries to win against the profile where the list lets it."""
    return job(
        profile="k8s",
        resources=Resources(cores=1, **resources),
        conf={"spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "1", "spark.task.cpus": "1"},
    )


def pod_environment(**changes: str) -> dict[str, str]:
    return {
        "NODE_NAME": "node-2", "POD_NAME": f"{GENERATION}-driver", "POD_IP": "10.88.2.7",
        "KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443",
    } | changes  # fmt: skip


def executor_environment(**changes: str) -> dict[str, str]:
    """What Spark's driver writes into an executor's pod."""
    return (
        pod_environment(
            POD_NAME=f"{GENERATION}-exec-3",
            SPARK_EXECUTOR_MEMORY="512m",
            SPARK_DRIVER_URL="spark://CoarseGrainedScheduler@10.88.2.7:40000",
            SPARK_EXECUTOR_ID="3",
            SPARK_EXECUTOR_CORES="1",
            SPARK_APPLICATION_ID="spark-0123456789abcdef",
            SPARK_EXECUTOR_POD_IP="10.88.1.9",
            SPARK_RESOURCE_PROFILE_ID="0",
            SPARK_EXECUTOR_POD_NAME=f"{GENERATION}-exec-3",
            SPARK_CLASSPATH="/ppml/node/evil.jar",
            SPARK_JAVA_OPT_0="-Dspark.driver.port=40000",
        )
        | changes
    )


def hand_over(folder: Path, code: Path, wanted: SparkJob, **changes: bytes) -> None:
    """Fill `folder` like the mounted ConfigMaps of a generation."""
    folder.mkdir()
    pieces = pack(code)
    bindings = [
        Binding(dataset="people", bases=(Base(node=THIS_NODE, uri="file:///ppml/node/in/people"),)),
        Binding(
            dataset="result", bases=(Base(node=THIS_NODE, uri="file:///ppml/node/g1/result"),), spread=True
        ),
    ]
    agent = AgentConfig(
        broker_url="https://10.89.0.1:8443",
        broker_ca=f"/ppml/generation/{BROKER_CA}",
        ticket=f"/ppml/generation/{TICKET}",
        job=f"/ppml/generation/{JOB}",
        code="/ppml/work/g/code",
        device=NoDevice(),
        tee="none",
        generation=GENERATION,
        bindings=tuple(bindings),
    )
    files = {
        AGENT: agent.encode(),
        JOB: wanted.canonical(),
        PROFILE: profile().model_dump_json().encode(),
        PODS: plan(code_pieces=len(pieces)).encode(),
        TICKET: b"e30.e30.c2ln",
        BROKER_CA: b"-----BEGIN CERTIFICATE-----\n",
        **{CODE_PIECE.format(number): piece for number, piece in enumerate(pieces)},
    } | changes
    for name, data in files.items():
        (folder / name).write_bytes(data)

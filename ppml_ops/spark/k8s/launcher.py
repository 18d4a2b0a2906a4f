"""Starts the driver of a generation in a cluster: ConfigMaps first, then the pod or SparkApplication with them.

Everything is made create-only under names that follow from the generation, so that a second start, after a kill
at any point, finds what the first one made and there is one driver for each generation.
"""

from pathlib import Path
from typing import NamedTuple

from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.application import spark_application
from ppml_ops.spark.k8s.bundle import config_maps
from ppml_ops.spark.k8s.names import driver_name, generation_labels
from ppml_ops.spark.k8s.objectstore import STORE_NODE
from ppml_ops.spark.k8s.plan import (
    AGENT,
    BROKER_CA,
    DEVICE_FOLDER,
    GENERATION_FOLDER,
    JOB,
    NODE_FOLDER,
    PODS,
    PROFILE,
    THIS_NODE,
    TICKET,
    WORK_FOLDER,
    PodPlan,
)
from ppml_ops.spark.k8s.platform import SHARED_NODE
from ppml_ops.spark.k8s.pods import driver_pod
from ppml_ops.spark.placement import AgentConfig, Base, Binding, Placement, device_of
from ppml_ops.spark.profiles import Profile
from ppml_ops.spark.tools import spark_version

#: Kinds that a generation may have in the cluster, in the order in which they are removed.
KINDS = ("SparkApplication", "Pod", "ConfigMap")


class Start(NamedTuple):
    """All that the pods of a generation are made of; `code` is the packed code bundle in pieces."""

    job: SparkJob
    profile: Profile
    placement: Placement
    plan: PodPlan
    code: list[bytes]


def start(cluster: Cluster, it: Start) -> None:
    """Make the driver of a generation, or find it made.

    Raises:
        ConfigError: the cluster refuses.
        TransientError: the cluster does not answer, or has no room.
    """
    platform, generation = it.profile.platform, it.plan.generation
    if not any(
        cluster.get(kind, platform.namespace, name)
        for kind, name in (("Pod", driver_name(generation)), ("SparkApplication", generation))
    ):
        make_config(cluster, it)
    if platform.mode == "operator":
        cluster.create(spark_application(it.plan, it.profile, spark_version()))
    else:
        cluster.create(driver_pod(it.plan, it.profile))


def make_config(cluster: Cluster, it: Start) -> None:
    """The ConfigMaps that all pods of a generation mount; only before its driver is there."""
    files = {
        AGENT: agent_config(it.profile, it.placement).encode(),
        JOB: it.job.canonical(),
        PROFILE: it.profile.model_dump_json().encode(),
        PODS: it.plan.encode(),
        TICKET: Path(it.placement.ticket).read_bytes(),
        BROKER_CA: Path(it.placement.broker_ca).read_bytes(),
    }
    for document in config_maps(it.plan, it.profile.platform.namespace, files, it.code):
        made = cluster.create(document)
        if made.get("binaryData") == document["binaryData"]:
            continue
        # Of a start that the cluster refused, before the profile was corrected; nobody uses it.
        meta = made["metadata"]
        cluster.delete("ConfigMap", meta["namespace"], meta["name"], uid=meta["uid"])
        cluster.create(document)


def agent_config(profile: Profile, placement: Placement) -> AgentConfig:
    """What the agent of each pod reads; paths are those inside the pod, `THIS_NODE` stands for its node."""
    return AgentConfig(
        broker_url=placement.broker_url,
        broker_ca=f"{GENERATION_FOLDER}/{BROKER_CA}",
        ticket=f"{GENERATION_FOLDER}/{TICKET}",
        job=f"{GENERATION_FOLDER}/{JOB}",
        code=f"{WORK_FOLDER}/g/code",
        device=device_of(profile.device, f"{DEVICE_FOLDER}/platform.sock"),
        tee=profile.tee,
        generation=placement.generation,
        bindings=placement.bindings,
    )


def pod_binding(dataset: str, folder: str, *, shared: bool, spread: bool) -> Binding:
    """A data set as a pod sees it: one folder, that of its own node, or the one that all nodes share."""
    base = Base(node=SHARED_NODE if shared else THIS_NODE, uri=f"file://{NODE_FOLDER}/{folder}")
    return Binding(dataset=dataset, bases=(base,), spread=spread)


def store_binding(dataset: str, folder: str, where: str, *, spread: bool) -> Binding:
    """A data set in an object store, its folder there in Hadoop's words; sealed logs stay on the nodes.

    Args:
        where: the same folder on a node, for the log.
        spread: it is written.
    """
    logs = f"file://{NODE_FOLDER}/{where}" if spread else None
    return Binding(dataset=dataset, bases=(Base(node=STORE_NODE, uri=folder),), spread=spread, logs=logs)


def remove(cluster: Cluster, namespace: str, run_key: str, generation: str, *, config: bool = True) -> None:
    """Delete what a generation has in the cluster; executors first would only be made again, so the driver is.

    Args:
        config: the ConfigMaps too; a pod that is still ending does not need them any more.
    """
    labels = generation_labels(run_key, generation)
    for kind in KINDS if config else KINDS[:-1]:
        cluster.delete_all(kind, namespace, labels)

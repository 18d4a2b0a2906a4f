"""Spark's settings for a driver whose executors are pods. Pure.

Made inside the TEE from the measured job and the profile; nothing here is secret, and of the secret between
driver and executors only the file's name stands in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.k8s.objectstore import JARS
from ppml_ops.spark.k8s.objectstore import environment as store_environment
from ppml_ops.spark.k8s.plan import LOCAL_FOLDER, SECRET_FOLDER, PodPlan
from ppml_ops.spark.k8s.platform import KubernetesPlatform
from ppml_ops.spark.k8s.pods import EXECUTOR_CONTAINER, OVERHEAD_MIB, executor_template
from ppml_ops.spark.placement import Placement
from ppml_ops.spark.profiles import Profile
from ppml_ops.spark.render import Submission, Tools, base_environment, fixed, submit_argv
from ppml_ops.spark.tools import shared_socket_folder

#: In every pod.
RPC_SECRET = f"{SECRET_FOLDER}/rpc"
POD_PYTHON = "/opt/ppml/bin/python3"
TEMPLATE = "conf/executor.json"


@dataclass(frozen=True)
class Cluster:
    """How a driver finds and is found: API server, its own address, its pod when it has one."""

    api_server: str
    address: str
    pod_name: str | None = None
    application_id: str | None = None


def template_document(plan: PodPlan, profile: Profile) -> bytes:
    """The file that Spark takes as template of executor pods; JSON is YAML too."""
    document: dict[str, Any] = executor_template(plan, profile)
    return canonical_json(document)


def render_pod_driver(
    job: SparkJob, profile: Profile, placement: Placement, tools: Tools, plan: PodPlan, cluster: Cluster
) -> Submission:
    """The submission of a driver that runs in a pod: spark-submit in client mode, inside the TEE."""
    properties = _properties(job, profile, placement, tools, plan, cluster) | {
        "spark.authenticate.secret.file": RPC_SECRET,
        "spark.local.dir": LOCAL_FOLDER,
    }
    if (store := profile.platform.object_store) is not None:
        class_path = f"{tools.jar}:{JARS}/*"
        properties |= store.properties(f"{LOCAL_FOLDER}/s3a") | {
            "spark.driver.extraClassPath": class_path,
            "spark.executor.extraClassPath": class_path,
        }
    if cluster.pod_name is not None:
        properties["spark.kubernetes.driver.pod.name"] = cluster.pod_name
    environment = base_environment(tools, PurePosixPath(placement.folder)) | {
        "SPARK_LOCAL_DIRS": LOCAL_FOLDER,
        "SPARK_LOCAL_IP": cluster.address,
        **pod_environment(profile),
    }
    return Submission(submit_argv(job, placement, tools), properties, environment)


def pod_environment(profile: Profile) -> dict[str, str]:
    """What JVMs in pods need beyond `base_environment`."""
    return store_environment() if profile.platform.object_store is not None else {}


def render_client_driver(
    job: SparkJob, profile: Profile, placement: Placement, tools: Tools, plan: PodPlan, cluster: Cluster
) -> Submission:
    """The submission of a driver that runs as a process tree on a host, its executors in pods."""
    work = PurePosixPath(placement.folder) / "work"
    properties = _properties(job, profile, placement, tools, plan, cluster) | {
        "spark.authenticate.secret.file": RPC_SECRET,  # where executors have it
        "spark.authenticate.secret.driver.file": str(work / "rpc"),
        "spark.local.dir": f"{work}/local",
        "spark.pyspark.python": POD_PYTHON,
    }
    environment = base_environment(tools, PurePosixPath(placement.folder)) | {
        "SPARK_LOCAL_DIRS": str(work / "local"),
        "SPARK_LOCAL_IP": cluster.address,
        "PYSPARK_PYTHON": POD_PYTHON,  # of executors' workers; the driver's own is PYSPARK_DRIVER_PYTHON
    }
    return Submission(submit_argv(job, placement, tools), properties, environment)


def _properties(
    job: SparkJob, profile: Profile, placement: Placement, tools: Tools, plan: PodPlan, cluster: Cluster
) -> dict[str, str]:
    platform = profile.platform
    work = PurePosixPath(placement.folder) / "work"
    properties = {
        **job.conf,
        **fixed(tools, work, str(shared_socket_folder(plan.generation))),
        **_executors(job, platform),
        "spark.app.name": job.name,
        "spark.master": f"k8s://{cluster.api_server}",
        "spark.driver.memory": job.resources.driver_memory,
        "spark.driver.host": cluster.address,
        "spark.driver.bindAddress": cluster.address,
        # Tasks commit on their own node: nobody could move files from one node's disk to another's.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        "spark.kubernetes.namespace": platform.namespace,
        "spark.kubernetes.container.image": platform.image,
        "spark.kubernetes.container.image.pullPolicy": platform.image_pull_policy,
        "spark.kubernetes.executor.podNamePrefix": plan.generation,
        "spark.kubernetes.executor.podTemplateFile": str(work / TEMPLATE),
        "spark.kubernetes.executor.podTemplateContainerName": EXECUTOR_CONTAINER,
        # What executors need is mounted by the template; the driver's account need not write ConfigMaps.
        "spark.kubernetes.executor.disableConfigMap": "true",
        # A small result would else lie wholly on the node that had most of its rows before.
        "spark.shuffle.reduceLocality.enabled": "false",
        # It makes pods and nothing else, so it need not be allowed to list or delete anything else.
        "spark.kubernetes.driver.service.deleteOnTermination": "false",
        "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
        "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
        # They stay until the driver's pod goes, so that one can see how they ended.
        "spark.kubernetes.executor.deleteOnTermination": "false",
    }
    if cluster.application_id is not None:
        properties["spark.app.id"] = cluster.application_id
    return properties


def _executors(job: SparkJob, platform: KubernetesPlatform) -> dict[str, str]:
    wanted = job.resources
    properties = {
        "spark.executor.cores": str(wanted.cores),
        "spark.executor.memory": wanted.executor_memory,
        "spark.executor.memoryOverhead": f"{OVERHEAD_MIB}m",
        "spark.executor.instances": str(wanted.executors),
        "spark.executor.maxNumFailures": str(platform.executor_failures),
        "spark.kubernetes.executor.request.cores": platform.executor_cpu,
        # All of them, or the first tasks would all run, and leave their parts, on one node.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{platform.start_limit}s",
    }
    if wanted.max_executors is not None:
        properties |= {
            "spark.dynamicAllocation.enabled": "true",
            "spark.dynamicAllocation.shuffleTracking.enabled": "true",
            "spark.dynamicAllocation.initialExecutors": str(wanted.executors),
            "spark.dynamicAllocation.minExecutors": "0",
            "spark.dynamicAllocation.maxExecutors": str(max(wanted.max_executors, wanted.executors)),
        }
    return properties


def in_cluster(environment: Mapping[str, str]) -> str:
    """Address of the API server as a pod's environment gives it.

    Raises:
        ConfigError: this is no pod of a cluster.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port.isdecimal():
        raise ConfigError(
            "this process does not know the cluster's API server (KUBERNETES_SERVICE_HOST is not set)",
            next_step="start it as the profile says",
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

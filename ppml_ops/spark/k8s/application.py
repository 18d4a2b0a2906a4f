"""A SparkApplication of the Kubeflow Spark operator whose driver pod is ours. Pure.

The operator runs spark-submit, which makes the driver pod out of the template below. What it puts into the
pod's arguments and ConfigMap does not count: our entry point makes Spark's settings from the measured job.
"""

from typing import Any

from ppml_ops.spark.k8s.names import MANAGED_BY
from ppml_ops.spark.k8s.plan import PodPlan
from ppml_ops.spark.k8s.pods import OVERHEAD_MIB, driver_pod
from ppml_ops.spark.profiles import Profile

API_VERSION = "sparkoperator.k8s.io/v1beta2"
#: Leaves out the NetworkPolicy that Spark 4.3 makes for each driver: operators may not write such, and its
#: selector names an application id that our executors don't have.
_NO_NETWORK_POLICY = {
    "spark.kubernetes.driver.pod.excludedFeatureSteps": (
        "org.apache.spark.deploy.k8s.features.NetworkPolicyFeatureStep"
    )
}


def spark_application(plan: PodPlan, profile: Profile, spark_version: str) -> dict[str, Any]:
    """The application of one try; its name is the generation's, its driver's `<generation>-driver`."""
    platform = profile.platform
    pod = driver_pod(plan, profile)
    template = {"metadata": pod["metadata"], "spec": pod["spec"]}
    container = template["spec"]["containers"][0]
    container.pop("resources")  # Spark sets them from its own settings
    for made_by_spark in ("command", "args"):
        container.pop(made_by_spark)
    template["metadata"] = {
        key: template["metadata"][key] for key in ("labels", "annotations") if key in template["metadata"]
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "SparkApplication",
        "metadata": {"name": plan.generation, "namespace": platform.namespace, "labels": plan.labels},
        "spec": {
            "type": "Python",
            "mode": "cluster",
            "pythonVersion": "3",
            "sparkVersion": spark_version,
            "image": platform.image,
            "imagePullPolicy": platform.image_pull_policy,
            "mainApplicationFile": "local:///ppml/entry.py",  # spark-submit wants one; nothing reads it
            # A second driver is never the operator's decision: the ledger of generations makes it.
            "restartPolicy": {"type": "Never"},
            "timeToLiveSeconds": profile.time_limit + 86_400,
            "sparkConf": {
                **_NO_NETWORK_POLICY,
                "spark.kubernetes.driver.podTemplateContainerName": container["name"],
                "spark.kubernetes.driver.request.cores": platform.driver_cpu,
                "spark.driver.memoryOverhead": f"{OVERHEAD_MIB}m",
                "spark.kubernetes.driver.master": "https://kubernetes.default.svc",
            },
            "driver": {
                "cores": 1,
                "memory": platform.resources.driver_memory,
                "serviceAccount": platform.service_account,
                "labels": {MANAGED_BY[0]: MANAGED_BY[1]},
                "template": template,
            },
            "executor": {"instances": 1, "cores": 1, "memory": "512m"},
        },
    }

"""The pods of a job, as documents for the API. Pure; one frame for driver, executors and node pods.

No secret stands in any of them: keys come to each pod from the broker, against its own evidence.
"""

from typing import Any

from ppml_ops.spark.k8s.names import ROLE, driver_name, run_labels
from ppml_ops.spark.k8s.objectstore import CREDENTIALS, CREDENTIALS_FOLDER
from ppml_ops.spark.k8s.plan import (
    DEVICE_FOLDER,
    GENERATION_FOLDER,
    LOCAL_FOLDER,
    NODE_FOLDER,
    SECRET_FOLDER,
    WORK_FOLDER,
    PodPlan,
)
from ppml_ops.spark.k8s.platform import SHARED_NODE, KubernetesPlatform
from ppml_ops.spark.profiles import Profile

UID = 185
#: Names of the containers; Spark looks for its own by these.
DRIVER_CONTAINER, EXECUTOR_CONTAINER, NODE_CONTAINER = (
    "spark-kubernetes-driver",
    "spark-kubernetes-executor",
    "node",
)
ENTRY = [
    "/opt/ppml/bin/python3", "-I", "-X", "pycache_prefix=/dev/null/pycache", "-m", "ppml_ops.spark.pod",
]  # fmt: skip
#: What a driver or executor needs beyond the heap: Python, agent, direct buffers, and folders in memory.
OVERHEAD_MIB = 512
_FIELDS = {
    "NODE_NAME": "spec.nodeName",
    "POD_NAME": "metadata.name",
    "POD_NAMESPACE": "metadata.namespace",
    "POD_IP": "status.podIP",
}
Document = dict[str, Any]


def driver_pod(plan: PodPlan, profile: Profile) -> Document:
    """The driver of cluster mode."""
    platform = profile.platform
    body = _pod(plan.labels, profile, plan.nodes, role="driver")
    body["metadata"] |= {"name": driver_name(plan.generation), "namespace": platform.namespace}
    spec = body["spec"]
    spec["serviceAccountName"] = platform.service_account
    spec["automountServiceAccountToken"] = True
    spec["activeDeadlineSeconds"] = profile.time_limit + platform.start_limit
    spec["terminationGracePeriodSeconds"] = round(profile.stop_grace) + 5
    memory = memory_mib(platform.resources.driver_memory) + OVERHEAD_MIB
    spec["containers"][0] |= {
        "name": DRIVER_CONTAINER,
        "args": ["driver"],
        "resources": _resources(platform, platform.driver_cpu, memory),
    }
    _mount_generation(spec, plan, platform)
    return body


def executor_template(plan: PodPlan, profile: Profile) -> Document:
    """Spark's pod template of executors; Spark adds name, arguments, environment, CPU and memory."""
    body = _pod(plan.labels, profile, plan.nodes, role="executor")
    body["spec"]["automountServiceAccountToken"] = False
    body["spec"]["terminationGracePeriodSeconds"] = round(profile.stop_grace) + 5
    body["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": plan.labels | {ROLE: "executor"}},
        }
    ]
    container = body["spec"]["containers"][0]
    container["name"] = EXECUTOR_CONTAINER
    if profile.platform.extended_resources:
        extended = dict(profile.platform.extended_resources)
        container["resources"] = {"requests": extended, "limits": extended}
    _mount_generation(body["spec"], plan, profile.platform)
    return body


def node_pod(run_key: str, profile: Profile, node: str, name: str, deadline: int) -> Document:
    """The pod through which the orchestrator reaches one node's folder and device; it holds nothing secret.

    It sees the folders of all runs on its node, because it makes and removes them; jobs see their own run's.
    """
    platform = profile.platform
    anywhere = node == SHARED_NODE
    body = _pod(run_labels(run_key), profile, () if anywhere else (node,), role="node")
    if anywhere and platform.node_selector:
        body["spec"]["nodeSelector"] = dict(platform.node_selector)
    body["metadata"] |= {"name": name, "namespace": profile.platform.namespace}
    spec = body["spec"]
    spec["automountServiceAccountToken"] = False
    spec["activeDeadlineSeconds"] = deadline
    spec["terminationGracePeriodSeconds"] = 1
    container = spec["containers"][0]
    container |= {
        "name": NODE_CONTAINER,
        "args": ["node"],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    }
    _mount(spec, NODE_FOLDER, _claim(profile.platform), subPathExpr=_node_path(profile.platform))
    return body


def memory_mib(heap: str) -> int:
    """`512m` or `2g` in MiB."""
    return int(heap[:-1]) * (1024 if heap.endswith("g") else 1)


def _pod(labels: dict[str, str], profile: Profile, nodes: tuple[str, ...], *, role: str) -> Document:
    """What all pods share: no root, no writable root file system, no more rights than none."""
    platform = profile.platform
    spec: Document = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "ppml",
                "image": platform.image,
                "imagePullPolicy": platform.image_pull_policy,
                "command": ENTRY,
                "env": [
                    {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                    for name, path in _FIELDS.items()
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "terminationMessagePolicy": "File",
                "volumeMounts": [],
            }
        ],
        "volumes": [],
    }
    if nodes:
        required = {"requiredDuringSchedulingIgnoredDuringExecution": _only_on(nodes)}
        spec["affinity"] = {"nodeAffinity": required}
    if platform.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in platform.image_pull_secrets]
    if platform.tolerations:
        spec["tolerations"] = [dict(one) for one in platform.tolerations]
    if platform.runtime_class:
        spec["runtimeClassName"] = platform.runtime_class
    _mount(spec, "/tmp", _memory("tmp", "256Mi"))  # noqa: S108  # inside the pod, its own
    if profile.device == "socket":
        device = {"name": "device", "hostPath": {"path": platform.device_path, "type": "Directory"}}
        _mount(spec, DEVICE_FOLDER, device, subPathExpr="$(NODE_NAME)", readOnly=True)
    metadata: Document = {"labels": labels | {ROLE: role}}
    if platform.annotations:
        metadata["annotations"] = dict(platform.annotations)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _only_on(nodes: tuple[str, ...]) -> Document:
    """By field, not by label: `kubernetes.io/hostname` may differ from the node's name."""
    return {
        "nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes
        ]
    }


def _mount_generation(spec: Document, plan: PodPlan, platform: KubernetesPlatform) -> None:
    """Job, ticket and code; the run's folder on the node; work folders in memory, spill folder on disk."""
    sources = [{"configMap": {"name": name}} for name in plan.config_maps]
    generation = {"name": "generation", "projected": {"defaultMode": 0o444, "sources": sources}}
    _mount(spec, GENERATION_FOLDER, generation, readOnly=True)
    _mount(spec, NODE_FOLDER, _claim(platform), subPathExpr=f"{_node_path(platform)}/{plan.run_key}")
    _mount(spec, WORK_FOLDER, _memory("work", "256Mi"))
    _mount(spec, SECRET_FOLDER, _memory("secret", "1Mi"))
    if platform.object_store is not None:
        secret = {
            "secretName": platform.object_store.credentials,
            "items": [{"key": CREDENTIALS, "path": CREDENTIALS}],
            "defaultMode": 0o440,
        }
        _mount(spec, CREDENTIALS_FOLDER, {"name": "store", "secret": secret}, readOnly=True)
    # By this name Spark knows that executors have a folder for spill files and makes no other one at its place.
    _mount(spec, LOCAL_FOLDER, {"name": "spark-local-dir-1", "emptyDir": {}})


def _claim(platform: KubernetesPlatform) -> Document:
    return {"name": "nodes", "persistentVolumeClaim": {"claimName": platform.volume_claim}}


def _node_path(platform: KubernetesPlatform) -> str:
    return SHARED_NODE if platform.shared else "$(NODE_NAME)"


def _memory(name: str, limit: str) -> Document:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": limit}}


def _mount(spec: Document, path: str, volume: Document, **options: Any) -> None:
    spec["volumes"].append(volume)
    spec["containers"][0]["volumeMounts"].append({"name": volume["name"], "mountPath": path, **options})


def _resources(platform: KubernetesPlatform, cpu: str, memory: int) -> Document:
    extended = dict(platform.extended_resources)
    requests = {"cpu": cpu, "memory": f"{memory}Mi"} | extended
    return {"requests": requests, "limits": {"memory": f"{memory}Mi"} | extended}

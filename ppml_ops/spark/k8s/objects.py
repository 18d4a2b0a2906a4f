"""What a cluster must have before runs can use it, as documents for the API. Pure.

Rights are as narrow as Kubernetes can say them; docs/kubernetes.md tells what each one is for.
"""

from typing import NamedTuple

from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.names import MANAGED_BY
from ppml_ops.spark.k8s.platform import SHARED_NODE, KubernetesPlatform
from ppml_ops.spark.k8s.pods import ENTRY, UID
from ppml_ops.spark.profiles import Profile

SUBMITTER = "ppml-submitter"
_RBAC = "rbac.authorization.k8s.io/v1"
_LEVEL = "pod-security.kubernetes.io/"
LABELS = {MANAGED_BY[0]: MANAGED_BY[1]}
SETUP_ROLE = "setup"
_CHOWN = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
_PREPARE = """
import os, shutil, sys
root, name, uid, remove = "/volume", sys.argv[1], int(sys.argv[2]), sys.argv[3] == "remove"
path = os.path.join(root, name)
if os.path.islink(path):
    sys.exit(f"{name} is a link")
if remove:
    shutil.rmtree(path) if os.path.isdir(path) else None
else:
    os.makedirs(path, mode=0o770, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(path, uid, uid)
        os.chmod(path, 0o770)
    elif not os.access(path, os.W_OK):
        sys.exit(f"{name} is not writable for user {uid}")
print("removed" if remove else "ready", os.statvfs(root).f_bavail * os.statvfs(root).f_frsize)
"""


class Rule(NamedTuple):
    """Verbs on one resource; `sub` is a part of it such as `exec`."""

    resource: str
    verbs: tuple[str, ...]
    sub: str = ""
    group: str = ""

    def document(self) -> Object:
        """As in a Role."""
        resource = f"{self.resource}/{self.sub}" if self.sub else self.resource
        return {"apiGroups": [self.group], "resources": [resource], "verbs": list(self.verbs)}


#: Spark's driver in its pod. Tried with Spark 4.3: without `patch` it fails at each executor that ended, for it
#: labels those that it does not delete; by label it deletes collections.
DRIVER_RULES = (Rule("pods", ("get", "list", "watch", "create", "patch", "delete", "deletecollection")),)
#: The orchestrator. `pods/exec` over WebSockets: API servers ask for `get`, newer ones for both verbs.
SUBMITTER_RULES = (
    Rule("pods", ("get", "list", "watch", "create", "delete")),
    Rule("pods", ("get",), sub="log"),
    Rule("pods", ("get", "create"), sub="exec"),
    Rule("configmaps", ("get", "list", "create", "delete")),
    Rule("events", ("get", "list")),
    Rule("persistentvolumeclaims", ("get",)),
    Rule("resourcequotas", ("get", "list")),
)
#: The same in mode `operator`, besides.
OPERATOR_RULES = (Rule("sparkapplications", ("get", "list", "create", "delete"), group="sparkoperator.k8s.io"),)
#: In client mode the orchestrator's account is Spark's driver too.
CLIENT_RULES = (Rule("pods", ("patch", "deletecollection")),)
#: For the whole cluster: which nodes there are.
NODE_RULES = (Rule("nodes", ("get", "list")),)


def submitter_rules(platform: KubernetesPlatform) -> tuple[Rule, ...]:
    """What the orchestrator needs in the namespace, in this profile's mode."""
    more = {"operator": OPERATOR_RULES, "client": CLIENT_RULES, "cluster": ()}[platform.mode]
    return (*SUBMITTER_RULES, *more)


def security_level(profile: Profile) -> tuple[str, str]:
    """The Pod Security level of the namespace, and why."""
    if profile.device == "socket":
        return "privileged", "the simulated TEE's socket is a folder of the node (hostPath)"
    return "restricted", "no pod of a run needs more"


def namespace(profile: Profile, live: Object | None = None) -> Object:
    """The namespace of runs; `live` as it is, whose level is never tightened: another profile may need it."""
    level, _why = security_level(profile)
    if live and live["metadata"].get("labels", {}).get(f"{_LEVEL}enforce") == "privileged":
        level = "privileged"
    labels = LABELS | {f"{_LEVEL}enforce": level, f"{_LEVEL}warn": level}
    return _named("v1", "Namespace", profile.platform.namespace, None, labels)


def setup_namespace(platform: KubernetesPlatform) -> Object:
    """Where the pods that prepare nodes run as root; it is gone when set-up is done."""
    labels = LABELS | {f"{_LEVEL}enforce": "privileged"}
    return _named("v1", "Namespace", f"{platform.namespace}-setup"[-63:].lstrip("-"), None, labels)


def accounts(platform: KubernetesPlatform) -> list[Object]:
    """Service accounts with their roles: the driver's and the orchestrator's."""
    space, reader = platform.namespace, f"{SUBMITTER}-{platform.namespace}"
    found: list[Object] = []
    for name, rules in ((platform.service_account, DRIVER_RULES), (SUBMITTER, submitter_rules(platform))):
        found.append(_named("v1", "ServiceAccount", name, space) | {"automountServiceAccountToken": False})
        found.append(_named(_RBAC, "Role", name, space) | {"rules": [rule.document() for rule in rules]})
        found.append(_named(_RBAC, "RoleBinding", name, space) | _binding("Role", name, name, space))
    nodes = {"rules": [rule.document() for rule in NODE_RULES]}
    found.append(_named(_RBAC, "ClusterRole", reader, None) | nodes)
    binding = _binding("ClusterRole", reader, SUBMITTER, space)
    found.append(_named(_RBAC, "ClusterRoleBinding", reader, None) | binding)
    return found


def volume(platform: KubernetesPlatform) -> list[Object]:
    """The volume of the node folders and its claim, bound to each other."""
    name, size = f"{platform.namespace}-{platform.volume_claim}", {"storage": "1Gi"}  # nobody measures it
    modes = ["ReadWriteMany"]
    claim = {"namespace": platform.namespace, "name": platform.volume_claim}
    path = {"path": platform.volume_path, "type": "Directory"}
    return [
        _named("v1", "PersistentVolume", name, None)
        | {
            "spec": {
                "capacity": size,
                "accessModes": modes,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "hostPath": path,
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim"} | claim,
            }
        },
        _named("v1", "PersistentVolumeClaim", platform.volume_claim, platform.namespace)
        | {
            "spec": {
                "accessModes": modes,
                "resources": {"requests": size},
                "storageClassName": "",
                "volumeName": name,
            }
        },
    ]


def prepare_pod(
    platform: KubernetesPlatform, node: str, name: str, *, remove: bool = False, own_claim: bool = False
) -> Object:
    """Makes the node's folder, owned by the pods of runs, or removes it; with the profile's image, to try that.

    It is bound to the node without the scheduler, and runs as root with the three rights that chown needs. On a
    claim that set-up did not make it is an ordinary pod of the namespace, and can only use what it may.
    """
    folder = SHARED_NODE if platform.shared else node
    words = ["-c", _PREPARE, folder, str(UID), "remove" if remove else "make"]
    spec: Object = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "activeDeadlineSeconds": 3600,
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "prepare",
                "image": platform.image,
                "imagePullPolicy": platform.image_pull_policy,
                "command": [ENTRY[0], "-I", *words],
                "securityContext": {
                    "runAsUser": UID if own_claim else 0,
                    "runAsGroup": UID if own_claim else 0,
                    "runAsNonRoot": own_claim,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]} | ({} if own_claim else {"add": _CHOWN}),
                },
                "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
            }
        ],
        "volumes": [
            {"name": "volume", "hostPath": {"path": platform.volume_path, "type": "DirectoryOrCreate"}}
        ],
    }
    if own_claim:
        spec["securityContext"] = {"fsGroup": UID, "seccompProfile": {"type": "RuntimeDefault"}}
        spec["volumes"] = [{"name": "volume", "persistentVolumeClaim": {"claimName": platform.volume_claim}}]
    if platform.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in platform.image_pull_secrets]
    space = platform.namespace if own_claim else setup_namespace(platform)["metadata"]["name"]
    return _named("v1", "Pod", name, space, LABELS | {"ppml-ops.io/role": SETUP_ROLE}) | {"spec": spec}


def _named(
    version: str, kind: str, name: str, space: str | None, labels: dict[str, str] | None = None
) -> Object:
    meta: Object = {"name": name, "labels": labels or LABELS}
    if space:
        meta["namespace"] = space
    return {"apiVersion": version, "kind": kind, "metadata": meta}


def _binding(kind: str, role: str, account: str, space: str) -> Object:
    return {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": space}],
    }

"""Where each kind of object that we use lies in the Kubernetes API."""

from typing import Any, NamedTuple
from urllib.parse import quote

from ppml_ops.errors import ConfigError

Object = dict[str, Any]


class Kind(NamedTuple):
    """API group with version ("v1" for the core), plural name, and whether it lives in namespaces."""

    version: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """As RBAC names it: "" for the core."""
        return self.version.rpartition("/")[0]

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """URL path of the collection, an object, or a part of it such as `log`."""
        pieces = ["api" if self.version == "v1" else "apis", *self.version.split("/")]
        if self.namespaced and namespace:
            pieces += ["namespaces", quote(namespace, safe="")]
        pieces.append(self.plural)
        pieces += [quote(piece, safe="") for piece in (name, sub) if piece]
        return "/" + "/".join(pieces)


_RBAC = "rbac.authorization.k8s.io/v1"
KINDS = {
    "ConfigMap": Kind("v1", "configmaps"),
    "Event": Kind("v1", "events"),
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "Node": Kind("v1", "nodes", namespaced=False),
    "PersistentVolume": Kind("v1", "persistentvolumes", namespaced=False),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "Pod": Kind("v1", "pods"),
    "ResourceQuota": Kind("v1", "resourcequotas"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "ClusterRole": Kind(_RBAC, "clusterroles", namespaced=False),
    "ClusterRoleBinding": Kind(_RBAC, "clusterrolebindings", namespaced=False),
    "RuntimeClass": Kind("node.k8s.io/v1", "runtimeclasses", namespaced=False),
    "Role": Kind(_RBAC, "roles"),
    "RoleBinding": Kind(_RBAC, "rolebindings"),
    "SelfSubjectAccessReview": Kind("authorization.k8s.io/v1", "selfsubjectaccessreviews", namespaced=False),
    "SelfSubjectReview": Kind("authentication.k8s.io/v1", "selfsubjectreviews", namespaced=False),
    "SparkApplication": Kind("sparkoperator.k8s.io/v1beta2", "sparkapplications"),
    "SubjectAccessReview": Kind("authorization.k8s.io/v1", "subjectaccessreviews", namespaced=False),
}


def kind_of(name: str) -> Kind:
    """The kind called `name`. Raises ConfigError for one that is not used here."""
    try:
        return KINDS[name]
    except KeyError:
        raise ConfigError(f"unknown kind of object {name!r}", next_step="use one of KINDS") from None


def named(obj: Object) -> str:
    """`pods w-1/driver`, for messages."""
    meta = obj.get("metadata", {})
    place = f"{meta['namespace']}/" if meta.get("namespace") else ""
    return f"{kind_of(obj['kind']).plural} {place}{meta.get('name', '')}"

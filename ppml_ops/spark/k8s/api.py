"""The Kubernetes API as PPML Ops uses it: documents in, documents out, with the manners of `http`."""

import time
from collections.abc import Mapping
from typing import Any

from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.http import PATIENCE_SECONDS, Transport
from ppml_ops.spark.k8s.kinds import Object, kind_of, named
from ppml_ops.spark.k8s.names import GENERATION, MANAGED_BY, ROLE, RUN, selector
from ppml_ops.spark.k8s.refusals import ConflictError, Request

FIELD_MANAGER = "ppml-ops"
_PAGE = 500
#: What makes an object the same one of ours, so that finding it is as good as having made it.
_OURS = (MANAGED_BY[0], RUN, GENERATION, ROLE)


class LeavingError(TransientError):
    """What has the name of a thing to be made is just being deleted."""


class Cluster:
    """A cluster; every call ends within its time limits. Raises ConfigError and TransientError (`refusals`)."""

    def __init__(self, access: ClusterAccess | None = None, *, patience: float = PATIENCE_SECONDS) -> None:
        self.transport = Transport(access or ClusterAccess(), patience=patience)

    def now(self) -> float:
        """Unix seconds by the clock that wrote the times in the cluster's documents."""
        return time.time() + self.transport.clock_ahead

    def create(self, obj: Object) -> Object:
        """Make it; one of the same name with our labels of the same run and generation is adopted.

        Raises:
            ConfigError: the name is taken by something else, or see `refusals`.
            LeavingError: its predecessor is just being deleted.
        """
        meta, kind = obj["metadata"], kind_of(obj["kind"])
        request = Request("create", named(obj))
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        path = kind.path(meta.get("namespace"))
        try:
            made = self.transport.call(request, "POST", path, query=query, body=obj)
        except ConflictError as error:
            return self._adopt(obj, error)
        return dict(made or {})

    def _adopt(self, obj: Object, taken: ConfigError) -> Object:
        meta = obj["metadata"]
        found = self.get(obj["kind"], meta.get("namespace"), meta["name"])
        if found is None or found["metadata"].get("deletionTimestamp"):
            raise LeavingError(
                f"{named(obj)} is just being deleted", next_step="try again when it is gone"
            ) from None
        theirs, ours = found["metadata"].get("labels", {}), meta.get("labels", {})
        if MANAGED_BY[0] not in ours or any(theirs.get(name) != ours.get(name) for name in _OURS):
            raise ConfigError(
                f"{named(obj)} exists and is not this run's",
                next_step="look whose it is; delete or rename it, or use another namespace",
            ) from taken
        return found

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """The object, or None."""
        path = kind_of(kind).path(namespace, name)
        return self.transport.call(self._request("get", kind, namespace, name), "GET", path)

    def find(
        self,
        kind: str,
        namespace: str | None = None,
        labels: Mapping[str, str] | str | None = None,
        fields: str | None = None,
    ) -> list[Object]:
        """All objects that match; read in pages. None where the kind is not installed or there are none."""
        found: list[Object] = []
        query: dict[str, Any] = {"limit": _PAGE}
        if labels:
            query["labelSelector"] = labels if isinstance(labels, str) else selector(dict(labels))
        if fields:
            query["fieldSelector"] = fields
        while True:
            request = self._request("list", kind, namespace)
            page = self.transport.call(request, "GET", kind_of(kind).path(namespace), query=query) or {}
            group = kind_of(kind).version
            found += [{"kind": kind, "apiVersion": group} | item for item in page.get("items") or []]
            query["continue"] = page.get("metadata", {}).get("continue")
            if not query["continue"]:
                return found

    def delete(
        self, kind: str, namespace: str | None, name: str, *, grace: int | None = None, uid: str | None = None
    ) -> bool:
        """Delete it; False when there is none, or `uid` is given and it is another one meanwhile."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        path, request = kind_of(kind).path(namespace, name), self._request("delete", kind, namespace, name)
        try:
            return self.transport.call(request, "DELETE", path, body=options) is not None
        except ConflictError:
            return False  # the uid: another one meanwhile

    def delete_all(self, kind: str, namespace: str, labels: Mapping[str, str]) -> int:
        """Delete those with all of these labels, one by one (no right to delete collections is needed).

        Raises:
            ValueError: no labels.
        """
        if not labels:
            raise ValueError("labels are missing")
        found = self.find(kind, namespace, labels)
        return sum(
            self.delete(kind, namespace, one["metadata"]["name"], uid=one["metadata"]["uid"]) for one in found
        )

    def apply(self, obj: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply as `ppml-ops`; a dry run returns what would be there."""
        meta, kind = obj["metadata"], kind_of(obj["kind"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        answer = self.transport.call(
            Request("patch", named(obj)),
            "PATCH",
            kind.path(meta.get("namespace"), meta["name"]),
            query=query,
            body=obj,
            content="application/apply-patch+yaml",
        )
        if answer is None:
            raise ConfigError(
                f"{named(obj)} can't be applied: its namespace or kind does not exist",
                next_step="make the namespace first (`ppml-ops cluster setup`)",
            )
        return dict(answer)

    def may(self, verb: str, resource: str, namespace: str | None, *, group: str = "", sub: str = "") -> bool:
        """Whether this account may do that (SelfSubjectAccessReview)."""
        attributes = {"verb": verb, "resource": resource, "group": group, "subresource": sub}
        if namespace:
            attributes["namespace"] = namespace
        kind = kind_of("SelfSubjectAccessReview")
        body = {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": kind.version,
            "spec": {"resourceAttributes": attributes},
        }
        request = Request("create", "selfsubjectaccessreviews")
        answer = self.transport.call(request, "POST", kind.path(None), body=body) or {}
        return bool(answer.get("status", {}).get("allowed"))

    def whoami(self) -> str:
        """The name by which the API server knows this account."""
        kind = kind_of("SelfSubjectReview")
        body = {"kind": "SelfSubjectReview", "apiVersion": kind.version}
        request = Request("create", "selfsubjectreviews")
        answer = self.transport.call(request, "POST", kind.path(None), body=body) or {}
        return str(answer.get("status", {}).get("userInfo", {}).get("username", "unknown"))

    def serves(self, kind: str) -> bool:
        """Whether the cluster knows this kind (a custom one may not be installed)."""
        wanted = kind_of(kind)
        path = wanted.path(None).rpartition("/")[0]
        answer = self.transport.call(Request("get", path), "GET", path) or {}
        return any(one.get("name") == wanted.plural for one in answer.get("resources") or ())

    def account_may(self, user: str, rule_verb: str, resource: str, namespace: str | None) -> bool:
        """Whether another account may do that (SubjectAccessReview; needs the right to ask)."""
        kind = kind_of("SubjectAccessReview")
        resource, _, sub = resource.partition("/")
        attributes = {"verb": rule_verb, "resource": resource, "subresource": sub, "namespace": namespace or ""}
        body = {
            "kind": "SubjectAccessReview",
            "apiVersion": kind.version,
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        request = Request("create", "subjectaccessreviews")
        answer = self.transport.call(request, "POST", kind.path(None), body=body) or {}
        return bool(answer.get("status", {}).get("allowed"))

    def server_version(self) -> str:
        """`v1.34.4`."""
        answer = self.transport.call(Request("get", "/version"), "GET", "/version") or {}
        return str(answer.get("gitVersion", "unknown"))

    def events(self, namespace: str, uid: str) -> list[Object]:
        """Events about the object with this uid, oldest first."""
        found = self.find("Event", namespace, fields=f"involvedObject.uid={uid}")
        return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def _request(self, verb: str, kind: str, namespace: str | None, name: str = "") -> Request:
        place = f"{namespace}/" if namespace and kind_of(kind).namespaced else ""
        return Request(verb, f"{kind_of(kind).plural} {place}{name}".strip())

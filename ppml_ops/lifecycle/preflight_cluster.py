"""What a run in a cluster needs, found out before anything is made: nodes, volume, a broker within reach."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.broker_access import broker_endpoint
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts
from ppml_ops.spark.k8s.plan import SHARED_NODE

_ADMIN = "the cluster administrator"


def check_cluster(run: Run, facts: Facts) -> None:
    """Record the nodes on which the run stays, and refuse what could only fail later.

    Raises:
        ConfigError: no node, no bound volume, no namespace, or a broker on loopback.
        TransientError: the cluster does not answer.
    """
    platform, cluster = run.profile.platform, run.cluster_api
    url, _ = broker_endpoint(run.home, run.broker)
    if is_loopback(url):
        raise ConfigError(
            f"the key broker listens on {urlsplit(url).netloc}, where no pod can reach it",
            next_step="set PPML_OPS_BROKER_HOST to an address of this host that pods reach, and start it again",
        )
    facts["kubernetes"] = cluster.server_version()
    claim = cluster.get("PersistentVolumeClaim", platform.namespace, platform.volume_claim)
    phase = claim.get("status", {}).get("phase") if claim else "missing"
    if phase != "Bound":
        raise ConfigError(
            f"the volume claim {platform.volume_claim} in namespace {platform.namespace} is {phase}, not Bound",
            next_step=f"ppml-ops cluster setup --profile {run.profile.name}",
            who=_ADMIN,
        )
    nodes = usable_nodes(cluster.find("Node"), platform.node_selector, platform.tolerations)
    if not nodes:
        raise ConfigError(
            f"no node takes pods (of {len(cluster.find('Node'))}; selector {platform.node_selector or 'none'})",
            next_step="look at `kubectl get nodes`; correct node_selector or tolerations in the profile",
            who=_ADMIN,
        )
    facts["cluster_nodes"] = nodes
    facts["nodes"] = [SHARED_NODE] if platform.topology == "shared" else nodes


def is_loopback(url: str) -> bool:
    """Whether a URL names this host by a name that means another one inside a pod."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def usable_nodes(
    nodes: Sequence[Mapping[str, Any]],
    selector: Mapping[str, str],
    tolerations: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Names of the nodes that are ready, selected, and have no taint that the pods don't tolerate. Pure."""
    return sorted(
        str(node["metadata"]["name"])
        for node in nodes
        if _ready(node)
        and selector.items() <= node["metadata"].get("labels", {}).items()
        and not node.get("spec", {}).get("unschedulable")
        and all(
            taint.get("effect") == "PreferNoSchedule" or any(_tolerates(one, taint) for one in tolerations)
            for taint in node.get("spec", {}).get("taints") or ()
        )
    )


def _ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """As the scheduler decides it (Kubernetes: ToleratesTaint)."""
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("key") not in (None, "", taint.get("key")):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")

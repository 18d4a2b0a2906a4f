"""What a run in a cluster needs, found out before anything is made: nodes, volume, a broker within reach."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.store_errors import store_error
from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.broker_access import broker_endpoint
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts
from ppml_ops.spark.k8s.nodes import node_states
from ppml_ops.spark.k8s.objectstore import STORE_NODE
from ppml_ops.spark.k8s.platform import SHARED_NODE

_ADMIN = "the cluster administrator"
_PROBE = "_preflight"


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
    states = node_states(cluster.find("Node"), platform)
    nodes = [state.name for state in states if not state.why_not]
    if not nodes:
        reasons = "; ".join(f"{state.name} {state.why_not}" for state in states[:10])
        raise ConfigError(
            f"no node can take pods: {reasons or 'the cluster has none'}",
            next_step="bring a node back, or correct node_selector or tolerations in the profile",
            who=_ADMIN,
        )
    if run.nodes.in_store:
        check_store(run.nodes.folder(STORE_NODE))
    facts["cluster_nodes"] = nodes
    facts["nodes"] = [SHARED_NODE] if platform.shared else nodes


def check_store(folder: AnyFolder) -> None:
    """Write and remove a small object: inputs go there, and results are read and removed there.

    Raises:
        ConfigError: that is not possible from here.
        TransientError: the store does not answer.
    """
    try:
        with folder.open_write(_PROBE) as file:
            file.write(b"1")
        folder.remove(_PROBE)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder} can't be used from this worker: there is no such bucket", next_step="make the bucket"
        ) from error
    except Exception as error:
        if (explained := store_error(error, f"{folder} can't be used from this worker")) is not None:
            raise explained from error
        raise


def is_loopback(url: str) -> bool:
    """Whether a URL names this host by a name that means another one inside a pod."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

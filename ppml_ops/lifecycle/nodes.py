"""The nodes of a run: their folders, and evidence from them; on this host, or in a cluster."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ppml_ops.attestation.evidence import EvidenceProvider, provider_for
from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.folder import Folder
from ppml_ops.spark.k8s.objectstore import STORE_NODE
from ppml_ops.spark.k8s.platform import SHARED_NODE
from ppml_ops.spark.platform_client import PlatformClient, platform_socket

if TYPE_CHECKING:
    from ppml_ops.lifecycle.run import Run
    from ppml_ops.spark.k8s.nodepods import NodePods

#: In client mode the driver plans and publishes on the worker, which is a node without executors.
WORKER_NODE = "airflow-worker"


class Nodes(Protocol):
    """The nodes of one run."""

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes on which tasks of the job run."""
        ...

    @property
    def placed(self) -> tuple[str, ...]:
        """Where inputs are put and parts may lie: the tasks' nodes and the driver's, or an object store."""
        ...

    @property
    def disks(self) -> tuple[str, ...]:
        """Nodes on whose disks the job's processes leave their sealed logs."""
        ...

    @property
    def in_store(self) -> bool:
        """Whether parts lie in an object store, from where nobody needs to bring them home."""
        ...

    def gone(self) -> frozenset[str]:
        """Nodes that have left since preflight, disks and all."""
        ...

    @property
    def driver(self) -> str | None:
        """Where drivers publish; None where that is known only of a driver that ran."""
        ...

    def folder(self, node: str, what: str = "") -> AnyFolder:
        """A folder of the run on a node: `in/<dataset>`, `g<n>/<dataset>`, or all of it."""
        ...

    def evidence(self, node: str, job: Path, code: Path) -> AbstractContextManager[EvidenceProvider]:
        """Evidence of a TEE on the node that has measured this job; it is ended with the block."""
        ...

    def prepare(self) -> None:
        """Make the run's folders, before a job looks for them."""
        ...

    def remove(self) -> None:
        """Remove the run's folders from all nodes, and what was needed to reach them."""
        ...

    def close(self) -> None:
        """Close connections; the object may be used again."""
        ...


class LocalNodes:
    """Folders of this host stand for the disks of nodes."""

    def __init__(self, run: "Run") -> None:
        self._run = run

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the profile."""
        return self._run.profile.nodes

    placed = disks = names
    in_store = False

    def gone(self) -> frozenset[str]:
        """None ever do."""
        return frozenset()

    @property
    def driver(self) -> str:
        """The first one."""
        return self.names[0]

    def folder(self, node: str, what: str = "") -> AnyFolder:
        """See `Nodes`."""
        return Folder(self._run.home / "nodes" / node / self._run.key / what)

    @contextmanager
    def evidence(self, node: str, job: Path, code: Path) -> Iterator[EvidenceProvider]:
        """See `Nodes`."""
        device = self._run.profile.device
        if device != "socket":
            yield provider_for({"kind": "tsm", "root": "/"} if device == "tsm" else {"kind": "none"})
            return
        platform = PlatformClient(platform_socket(self._run.home))
        td = platform.create_td(f"{self._run.key}-{node}", job, code)
        try:
            yield provider_for({"kind": "socket", "path": td.socket})
        finally:
            platform.destroy_td(td.td)

    def prepare(self) -> None:
        """Whoever writes into them makes them."""

    def remove(self) -> None:
        """See `Nodes`."""
        for node in self.placed:
            self.folder(node).remove()

    def close(self) -> None:
        """Nothing is open."""


class ClusterNodes:
    """Nodes of a cluster, reached through one pod on each."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._pods: NodePods | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Those that preflight found; the run stays on them."""
        return tuple(str(node) for node in self._run.records.facts("preflight")["nodes"])

    @property
    def placed(self) -> tuple[str, ...]:
        """See `Nodes`."""
        return (STORE_NODE,) if self.in_store else self.disks

    @property
    def disks(self) -> tuple[str, ...]:
        """See `Nodes`."""
        return (*self.names, WORKER_NODE) if self._run.profile.platform.mode == "client" else self.names

    @property
    def in_store(self) -> bool:
        """See `Nodes`."""
        return self._run.profile.platform.object_store is not None

    @property
    def driver(self) -> str | None:
        """See `Nodes`."""
        if self._run.profile.platform.mode == "client":
            return WORKER_NODE
        if self.in_store:
            return STORE_NODE
        return SHARED_NODE if self._run.profile.platform.shared else None

    def gone(self) -> frozenset[str]:
        """See `Nodes`."""
        there = {str(one["metadata"]["name"]) for one in self._run.cluster_api.find("Node")}
        pinned = {str(node) for node in self._run.records.facts("preflight")["cluster_nodes"]}
        return frozenset(pinned - there)

    def folder(self, node: str, what: str = "") -> AnyFolder:
        """See `Nodes`."""
        if node == WORKER_NODE:
            return Folder(self._run.home / "nodes" / node / self._run.key / what)
        if node == STORE_NODE and (store := self._run.profile.platform.object_store) is not None:
            return Folder(f"{store.url}/{self._run.key}/{what}".rstrip("/"))
        return self._reach().folder(node, what)

    def evidence(self, node: str, job: Path, code: Path) -> AbstractContextManager[EvidenceProvider]:
        """See `Nodes`."""
        return self._reach().evidence(node, job, code)

    def prepare(self) -> None:
        """See `Nodes`; a job whose parts lie in a store goes on without the nodes that have left."""
        left = self.gone() if self.in_store else frozenset()
        for node in self.names:
            if node not in left:
                self._reach().prepare(node)

    def remove(self) -> None:
        """See `Nodes`; the pods go also when a node can't be reached."""
        with ExitStack() as rest:
            rest.callback(self._reach().remove)
            for node in {*self.disks, *self.placed} - self.gone():
                rest.callback(self._remove, node)

    def _remove(self, node: str) -> None:
        self.folder(node).remove()

    def close(self) -> None:
        """End the sessions with the pods; the pods stay."""
        if self._pods is not None:
            self._pods.close()
            self._pods = None

    def _reach(self) -> "NodePods":
        if self._pods is None:
            from ppml_ops.spark.k8s.nodepods import NodePods

            self._pods = NodePods(
                self._run.cluster, self._run.profile, self._run.key, cluster=self._run.cluster_api
            )
        return self._pods


def nodes_of(run: "Run") -> Nodes:
    """The nodes of a run by its profile."""
    return LocalNodes(run) if run.profile.launcher == "local" else ClusterNodes(run)

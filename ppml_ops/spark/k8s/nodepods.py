"""The node pods of one run: one on each node, through which the orchestrator reaches files and evidence."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ppml_ops.attestation.evidence import Evidence, check_report_data, checked_evidence
from ppml_ops.canonical import b64e
from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster, LeavingError
from ppml_ops.spark.k8s.execstream import StreamEndedError, open_exec
from ppml_ops.spark.k8s.kinds import Object
from ppml_ops.spark.k8s.names import ROLE, run_labels
from ppml_ops.spark.k8s.nodes import usable
from ppml_ops.spark.k8s.nodesession import NodeSession, Stream
from ppml_ops.spark.k8s.platform import SHARED_NODE
from ppml_ops.spark.k8s.podfolder import PodFolder
from ppml_ops.spark.k8s.pods import ENTRY, NODE_CONTAINER, node_pod
from ppml_ops.spark.k8s.probe import JOB_FILE
from ppml_ops.spark.k8s.trouble import is_over, is_ready, never_starts, trouble
from ppml_ops.spark.profiles import Profile

SERVER = [*ENTRY[:-1], "ppml_ops.spark.k8s.nodepod"]
_PROBE = "attest"
_PAUSE_SECONDS = 0.5
#: Beyond the job's own time: distribute before it, gather and clean-up after it.
_MARGIN_SECONDS = 6 * 3600


def node_pod_name(run_key: str, node: str) -> str:
    """One for each node; names of nodes may be too long for a pod's."""
    return f"{run_key}-node-{hashlib.sha256(node.encode()).hexdigest()[:8]}"


class NodePods:
    """Makes each node's pod when it is first needed, and again when it has vanished.

    Args:
        access: the cluster; None for what KUBECONFIG and its like say.
        run_key: of the run whose folders and labels they are.
        cluster: used instead of `access`, where there is one already.

    Raises:
        ConfigError, TransientError: from every call, see `refusals` and `trouble`.
    """

    def __init__(
        self,
        access: ClusterAccess | None,
        profile: Profile,
        run_key: str,
        *,
        cluster: Cluster | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster or Cluster(access)
        self._profile, self._run_key = profile, run_key
        self._sleep, self._clock = sleep, clock
        self._sessions: dict[str, NodeSession] = {}

    def folder(self, node: str, path: str = "") -> PodFolder:
        """The run's folder on a node, or `path` in it, such as `in/people`."""
        return PodFolder(self._session(node), f"{self._run_key}/{path}".rstrip("/"))

    @contextmanager
    def evidence(self, node: str, job: Path, code: Path) -> Iterator["PodEvidence"]:
        """Evidence of the node for this job, which lies there inside the block only; for the attest stage."""
        folder = self.folder(node, _PROBE)
        folder.remove()
        _put(folder, job, JOB_FILE)
        inner = f"code/{code.name}"
        files = [path for path in sorted(code.rglob("*")) if path.is_file()] if code.is_dir() else [code]
        for path in files:
            _put(folder, path, inner if path == code else f"{inner}/{path.relative_to(code).as_posix()}")
        name = f"{self._run_key}-{node}"
        yield PodEvidence(self._session(node), self._profile.device, name, folder, inner)
        folder.remove()

    def prepare(self, node: str) -> None:
        """Make the run's folder: a job's pods mount it, and what mounting makes is root's."""
        self.folder(node).make()

    def remove(self) -> None:
        """End sessions and pods; folders stay. Again without effect."""
        self.close()
        labels = run_labels(self._run_key) | {ROLE: "node"}
        self._cluster.delete_all("Pod", self._profile.platform.namespace, labels)

    def close(self) -> None:
        """End the sessions only."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _session(self, node: str) -> NodeSession:
        if node not in self._sessions:
            self._sessions[node] = NodeSession(node, lambda: self._connect(node))
        return self._sessions[node]

    def _connect(self, node: str) -> Stream:
        pod = self.ensure(node)
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        try:
            return open_exec(self._cluster.transport, namespace, name, NODE_CONTAINER, SERVER)
        except ConfigError:
            now = self._cluster.get("Pod", namespace, name)
            if now is not None and is_ready(now):
                raise
            raise StreamEndedError("the pod ended meanwhile") from None

    def ensure(self, node: str) -> Object:
        """The node's pod, ready; made when there is none, or when it has ended."""
        platform, name = self._profile.platform, node_pod_name(self._run_key, node)
        deadline = self._profile.time_limit + platform.start_limit + _MARGIN_SECONDS
        wanted = node_pod(self._run_key, self._profile, self._place(node), name, deadline)
        began, made = self._clock(), False
        while True:
            pod = self._cluster.get("Pod", platform.namespace, name)
            if pod is None:
                pod, made = self._made(wanted), True
            elif (is_over(pod) or _image(pod) != _image(wanted)) and not made:
                self._cluster.delete("Pod", platform.namespace, name, grace=0, uid=pod["metadata"]["uid"])
                pod = None
            if pod is not None and is_ready(pod):
                return pod
            waited = self._clock() - began
            if pod is not None and (is_over(pod) or never_starts(pod, waited)):
                raise trouble(pod, (), waited)
            if waited > platform.start_limit:
                raise self._too_late(pod, node, waited)
            self._sleep(_PAUSE_SECONDS)

    def _place(self, node: str) -> str:
        """The node itself; for the one folder that all share, any."""
        if node != SHARED_NODE:
            return node
        found = usable(self._cluster.find("Node"), self._profile.platform)
        if not found:
            raise TransientError("no node takes pods", next_step="look at `kubectl get nodes`")
        return found[0]

    def _made(self, wanted: Object) -> Object | None:
        try:
            return self._cluster.create(wanted)
        except LeavingError:
            return None

    def _too_late(self, pod: Object | None, node: str, waited: float) -> Exception:
        if pod is None:
            return TransientError(
                f"the former pod on node {node} is not gone after {waited:.0f} s",
                next_step="look at that node; the task tries again",
            )
        meta = pod["metadata"]
        return trouble(pod, self._cluster.events(meta["namespace"], meta["uid"]), waited)


class PodEvidence:
    """The device of a node, asked through its pod (an `EvidenceProvider`)."""

    def __init__(self, session: NodeSession, device: str, name: str, folder: PodFolder, code: str) -> None:
        self._session, self._device, self._name = session, device, name
        self._folder, self._code = folder, code

    def quote(self, report_data: bytes) -> Evidence:
        """Evidence with these 64 bytes; looked at once, as any device's."""
        check_report_data(report_data)
        header, data = self._session.ask(
            "evidence",
            path=self._folder.root,
            code=self._code,
            device=self._device,
            name=self._name,
            report_data=b64e(report_data),
        )
        length = self._session.number(header, "quote")
        log = None if header.get("log") is None else self._session.number(header, "log")
        if length + (log or 0) != len(data):
            raise self._session.untrue("lengths that don't fit")
        if self._device == "none":
            return Evidence("none", b"")
        return checked_evidence("tdx", data[:length], None if log is None else data[length:], report_data)


def _image(pod: Object) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def _put(folder: PodFolder, source: Path, path: str) -> None:
    with source.open("rb") as file, folder.open_write(path) as sink:
        while chunk := file.read(1 << 20):
            sink.write(chunk)

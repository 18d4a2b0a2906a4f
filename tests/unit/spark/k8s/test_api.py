"""How we speak with an API server: patience, clear refusals, and never to one that is not verified."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.http import Transport
from ppml_ops.spark.k8s.names import generation_labels
from tests.unit.spark.k8s.server import Api

pytest.importorskip("kubernetes")
LABELS = generation_labels("run-20261120-0123456789ab", "run-20261120-0123456789ab-g1")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    server = Api(tmp_path)
    yield server
    server.close()


@pytest.fixture
def cluster(api: Api, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Its waiting takes no time."""
    made = Cluster(api.access())
    made.transport._sleep = lambda _seconds: None
    return made


def pod(**meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "w", "labels": LABELS, "uid": "1"} | meta,
    }


def test_the_credentials_of_the_kubeconfig_are_shown(api: Api, cluster: Cluster) -> None:
    api.answers = [(200, pod())]
    found = cluster.get("Pod", "w", "p")
    assert found == pod()
    assert api.asked[0].authorization == "Bearer token-of-mine"
    assert api.asked[0].path == "/api/v1/namespaces/w/pods/p"


def test_a_server_that_is_away_for_a_while_is_waited_for(api: Api, cluster: Cluster) -> None:
    api.answers = [None, (503, {"message": "starting"}), (429, {}), (500, {"message": "etcd"}), (200, pod())]
    assert cluster.get("Pod", "w", "p") is not None
    assert len(api.asked) == 5


def test_patience_ends(api: Api) -> None:
    api.answers = [(503, {"message": "starting"})] * 3
    with pytest.raises(TransientError, match="starting"):
        Cluster(api.access(), patience=0).get("Pod", "w", "p")
    api.close()
    with pytest.raises(TransientError, match=r"does not answer"):
        Cluster(api.access(), patience=0).get("Pod", "w", "p")


@pytest.mark.parametrize(
    ("status", "message", "error", "words"),
    [
        (401, "Unauthorized", ConfigError, "does not accept this account"),
        (403, 'User "u" cannot create', ConfigError, r"may not create pods w/p: User \"u\""),
        (403, 'pods "p" is forbidden: exceeded quota: q', TransientError, "exceeded quota"),
        (403, "violates PodSecurity", ConfigError, "violates PodSecurity"),
        (403, "namespace w is being terminated", TransientError, "terminated"),
        (422, "spec.x: Invalid value\nsecond\x1b[31m", ConfigError, r"Invalid value second \[31m"),
        (500, ".x: field not declared in schema", ConfigError, "not declared"),
        (404, 'namespaces "w" not found', ConfigError, "not found"),
    ],
)
def test_refusals_are_told_apart(
    api: Api, cluster: Cluster, status: int, message: str, error: type[Exception], words: str
) -> None:
    api.answers = [(status, {"message": message})]
    with pytest.raises(error, match=words):
        cluster.create(pod())
    assert len(api.asked) == 1


def test_an_endless_message_is_cut(api: Api, cluster: Cluster) -> None:
    api.answers = [(422, {"message": "x" * 100_000})]
    with pytest.raises(ConfigError) as caught:
        cluster.create(pod())
    assert len(str(caught.value)) < 1000


def test_one_of_ours_is_adopted(api: Api, cluster: Cluster) -> None:
    """As after a create whose answer was lost."""
    api.answers = [None, (409, {"message": "already exists"}), (200, pod(uid="2"))]
    assert cluster.create(pod())["metadata"]["uid"] == "2"


@pytest.mark.parametrize("labels", [{}, LABELS | {"ppml-ops.io/generation": "other-g1"}])
def test_a_stranger_under_our_name_is_an_error(api: Api, cluster: Cluster, labels: dict[str, str]) -> None:
    api.answers = [(409, {"message": "already exists"}), (200, pod(labels=labels))]
    with pytest.raises(ConfigError, match="not this run's"):
        cluster.create(pod())


def test_what_is_being_deleted_is_not_adopted(api: Api, cluster: Cluster) -> None:
    api.answers = [(409, {"message": "already exists"}), (200, pod(deletionTimestamp="2026-11-20T00:00:00Z"))]
    with pytest.raises(TransientError, match="being deleted"):
        cluster.create(pod())


def test_lists_are_read_to_the_end(api: Api, cluster: Cluster) -> None:
    api.answers = [
        (200, {"items": [pod(name="a")], "metadata": {"continue": "next"}}),
        (200, {"items": [pod(name="b")], "metadata": {}}),
    ]
    assert [one["metadata"]["name"] for one in cluster.find("Pod", "w", LABELS)] == ["a", "b"]
    assert "labelSelector=" in api.asked[0].path
    assert "continue=next" in api.asked[1].path


def test_a_kind_that_is_not_installed_has_no_objects(api: Api, cluster: Cluster) -> None:
    api.answers = [(404, {"message": "the server could not find the requested resource"})]
    assert cluster.find("SparkApplication", "w") == []


def test_another_object_of_the_name_is_not_deleted(api: Api, cluster: Cluster) -> None:
    api.answers = [(409, {"message": "the UID in the precondition does not match"}), (404, {})]
    assert not cluster.delete("Pod", "w", "p", uid="1")
    assert not cluster.delete("Pod", "w", "p")
    assert api.asked[0].body["preconditions"] == {"uid": "1"}


def test_nothing_is_deleted_without_a_label(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="labels"):
        cluster.delete_all("Pod", "w", {})


def test_a_server_of_another_ca_is_not_spoken_to(api: Api, tmp_path: Path) -> None:
    other = Api(tmp_path / "other")
    try:
        with pytest.raises(ConfigError, match="no certificate that the kubeconfig's CA vouches for"):
            Cluster(api.access(ca=other._ca), patience=0).get("Pod", "w", "p")
    finally:
        other.close()
    assert api.asked == []


@pytest.mark.parametrize(
    "cluster_entry", [{"insecure-skip-tls-verify": True}, {"server": "http://127.0.0.1:1"}]
)
def test_verification_can_not_be_switched_off(api: Api, cluster_entry: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="does not verify"):
        Transport(api.access(**cluster_entry))


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ConfigError, match=r"pip install 'ppml-ops\[kubernetes\]'"):
        ClusterAccess().configuration()


def test_a_missing_kubeconfig_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no way to the cluster by .*nowhere"):
        Cluster(ClusterAccess(kubeconfig=tmp_path / "nowhere"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"looked at: KUBECONFIG, ~/.kube/config"):
        Cluster()

"""Node pods in a real cluster: files and evidence of each node, whatever happens to pod or API meanwhile."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.attestation.layout import parse_layout
from ppml_ops.attestation.measure import code_digest
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.topology import collect, place
from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.job import CodeBundle, JobDataset, SparkJob
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.frames import MAX_PAYLOAD
from ppml_ops.spark.k8s.nodepods import NodePods, node_pod_name
from ppml_ops.spark.k8s.nodes import usable
from ppml_ops.spark.profiles import Profile
from tests.support.cluster_site import Proxy, a_profile, new_name, set_up
from tests.unit.maintenance.conftest import Site

RUN = "try-20261120-0123456789ab"


@pytest.fixture(scope="module")
def nodes(api: Cluster, profile: Profile) -> list[str]:
    return usable(api.find("Node"), profile.platform)


@pytest.fixture
def pods(api: Cluster, profile: Profile, nodes: list[str]) -> Iterator[NodePods]:
    made = NodePods(None, profile, RUN, cluster=api)
    yield made
    for node in nodes:
        made.folder(node).remove()
    made.close()


def changed(profile: Profile, **kubernetes: Any) -> Profile:
    return profile.model_copy(update={"kubernetes": profile.platform.model_copy(update=kubernetes)})


def test_each_node_has_a_folder_of_its_own(pods: NodePods, nodes: list[str]) -> None:
    for node in nodes:
        pods.folder(node, "in/people").create_only("who", node.encode())
    assert [pods.folder(node, "in/people").read("who", 99) for node in nodes] == [n.encode() for n in nodes]
    assert [pods.folder(node).files() for node in nodes] == [["in/people/who"]] * len(nodes)


def test_a_sealed_version_goes_to_every_node_and_home_again(
    pods: NodePods, nodes: list[str], tmp_path: Path
) -> None:
    site = Site(tmp_path / "home")
    site.seal(text="name\n" + "Ada\n" * 500_000)
    manifest = site.store().read()
    for node in nodes:
        first = place(site.store(), manifest, pods.folder(node, "in/people"))
        assert place(site.store(), manifest, pods.folder(node, "in/people")) == first
        DatasetStore(pods.folder(node, "in/people")).check_parts(manifest)
    parts = tuple(part.model_copy(update={"node": nodes[0]}) for part in manifest.parts)
    there = manifest.model_copy(update={"parts": parts})
    collect(nodes[0], pods.folder(nodes[0], "in/people"), there, Folder(tmp_path / "incoming"))
    assert Folder(tmp_path / "incoming").files() == [part.path for part in manifest.parts]


def test_a_killed_pod_is_made_again_in_the_middle_of_a_file(
    api: Cluster, profile: Profile, pods: NodePods, nodes: list[str]
) -> None:
    folder, data = pods.folder(nodes[0], "g1/r"), os.urandom(3 * MAX_PAYLOAD)
    former = pods.ensure(nodes[0])
    with folder.open_write("part") as file:
        file.write(data[: MAX_PAYLOAD + 1])
        api.delete("Pod", profile.platform.namespace, former["metadata"]["name"], grace=0)
        file.write(data[MAX_PAYLOAD + 1 :])
    assert pods.ensure(nodes[0])["metadata"]["uid"] != former["metadata"]["uid"]
    assert b"".join(folder.chunks("part")) == data


def test_an_api_server_that_is_away_is_waited_for(
    api: Cluster, profile: Profile, pods: NodePods, nodes: list[str], tmp_path: Path
) -> None:
    pods.ensure(nodes[0])
    proxy = Proxy(api, tmp_path)
    there = NodePods(proxy.access, profile, RUN)
    folder, data = there.folder(nodes[0], "g1/r"), os.urandom(4 * MAX_PAYLOAD)
    timer = threading.Timer(5, proxy.mend)
    try:
        with folder.open_write("part") as file:
            file.write(data[: 2 * MAX_PAYLOAD])
            before = proxy.connections
            proxy.cut()
            timer.start()
            file.write(data[2 * MAX_PAYLOAD :])
        assert b"".join(folder.chunks("part")) == data
        assert proxy.connections > before
    finally:
        timer.cancel()
        there.close()
        proxy.close()


def test_removing_takes_the_pods_of_this_run_only(
    api: Cluster, profile: Profile, pods: NodePods, nodes: list[str]
) -> None:
    other = NodePods(None, profile, "other-20261120-0123456789ab", cluster=api)
    other.ensure(nodes[0])
    pods.ensure(nodes[0])
    pods.remove()
    pods.remove()
    found = api.find("Pod", profile.platform.namespace)
    living = [one["metadata"]["name"] for one in found if not one["metadata"].get("deletionTimestamp")]
    assert node_pod_name(RUN, nodes[0]) not in living
    assert node_pod_name("other-20261120-0123456789ab", nodes[0]) in living
    other.remove()


def test_a_missing_image_is_named(api: Cluster, profile: Profile, nodes: list[str]) -> None:
    wrong = changed(profile, image="nowhere/none:1", image_pull_policy="Never")
    pods = NodePods(None, wrong, "image-20261120-0123456789ab", cluster=api)
    try:
        with pytest.raises(ConfigError, match=r"ErrImageNeverPull.*nowhere/none:1"):
            pods.ensure(nodes[0])
    finally:
        pods.remove()


def test_a_missing_claim_is_named(api: Cluster, profile: Profile, nodes: list[str]) -> None:
    wrong = changed(profile, volume_claim="nowhere", start_limit=10)
    pods = NodePods(None, wrong, "claim-20261120-0123456789ab", cluster=api)
    try:
        with pytest.raises(ConfigError, match=r"\"nowhere\" not found.*cluster setup"):
            pods.ensure(nodes[0])
    finally:
        pods.remove()


def test_a_full_quota_is_named_and_may_be_tried_again(api: Cluster, profile: Profile, nodes: list[str]) -> None:
    space = profile.platform.namespace
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": space},
        "spec": {"hard": {"pods": "0"}},
    }
    api.apply(quota)
    pods = NodePods(None, profile, "quota-20261120-0123456789ab", cluster=api)
    try:
        with pytest.raises(TransientError, match="exceeded quota: none"):
            while True:  # the quota counts a moment after it was made
                pods.ensure(nodes[0])
                pods.remove()
    finally:
        api.delete("ResourceQuota", space, "none")
        pods.remove()


def test_evidence_of_a_node(
    api: Cluster, spark_image: str, simulated_nodes: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("evidence")
    profile = a_profile(
        new_name(), spark_image, folder, device="socket", device_path=simulated_nodes.device_path
    )
    code = folder / "app.py"
    code.write_text("print(1)\n")
    job = SparkJob(
        name="x",
        code=CodeBundle(main="app.py", digest=code_digest(code)),
        datasets=(JobDataset(dataset="r", mode="write"),),
    )
    (folder / "job.json").write_bytes(job.canonical())
    with set_up(api, profile):
        pods = NodePods(None, profile, RUN, cluster=api)
        node = usable(api.find("Node"), profile.platform)[0]
        with pods.evidence(node, folder / "job.json", code) as provider:
            evidence = provider.quote(b"\1" * 64)
        assert parse_layout(evidence.quote).report_data == b"\1" * 64
        assert evidence.event_log
        assert pods.folder(node).files() == []
        pods.remove()

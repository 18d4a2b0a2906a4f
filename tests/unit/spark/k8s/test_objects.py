"""What set-up makes: rights as narrow as they can be, and namespaces only as open as a profile needs."""

from typing import Any

import pytest

from ppml_ops.spark.k8s.checkup import need_of
from ppml_ops.spark.k8s.objects import accounts, namespace, prepare_pod, setup_namespace, volume
from tests.unit.spark.k8s.profiles import cluster_profile


def roles(**kubernetes: Any) -> dict[str, list[dict[str, Any]]]:
    made = accounts(cluster_profile(**kubernetes).platform)
    return {one["metadata"]["name"]: one["rules"] for one in made if one["kind"].endswith("Role")}


def test_no_account_may_read_secrets_or_more_than_it_needs() -> None:
    for rules in roles(mode="operator").values():
        for rule in rules:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            assert "secrets" not in rule["resources"]
            assert not {"update", "impersonate", "bind", "escalate"} & set(rule["verbs"])


def test_the_driver_may_touch_pods_only() -> None:
    assert [rule["resources"] for rule in roles()["ppml-driver"]] == [["pods"]]


def test_spark_applications_are_for_the_operator_mode_only() -> None:
    def resources(mode: str) -> set[str]:
        return {name for rule in roles(mode=mode)["ppml-submitter"] for name in rule["resources"]}

    assert "sparkapplications" in resources("operator")
    assert "sparkapplications" not in resources("cluster")


def test_whole_cluster_rights_are_reading_nodes() -> None:
    assert roles()["ppml-submitter-w"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}
    ]


@pytest.mark.parametrize(
    ("device", "level"), [("none", "restricted"), ("tsm", "restricted"), ("socket", "privileged")]
)
def test_the_level_of_the_namespace(device: str, level: str) -> None:
    labels = namespace(cluster_profile(device))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == level


def test_the_level_that_another_profile_needs_stays() -> None:
    live = namespace(cluster_profile("socket"))
    labels = namespace(cluster_profile("none"), live)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_volume_and_claim_name_each_other() -> None:
    persistent, claim = volume(cluster_profile(volume_path="/data/ppml").platform)
    assert persistent["spec"]["claimRef"]["name"] == claim["metadata"]["name"] == "ppml-nodes"
    assert claim["spec"]["volumeName"] == persistent["metadata"]["name"]
    assert persistent["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert persistent["spec"]["hostPath"]["path"] == "/data/ppml"


def test_the_one_pod_that_is_root_has_no_token_and_three_rights() -> None:
    platform = cluster_profile(image_pull_secrets=("pull",)).platform
    pod = prepare_pod(platform, "n1", "prepare")
    container = pod["spec"]["containers"][0]
    assert pod["metadata"]["namespace"] == setup_namespace(platform)["metadata"]["name"] == "w-setup"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert container["securityContext"]["capabilities"]["add"] == ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
    assert container["command"][-3:] == ["n1", "185", "make"]
    shared = prepare_pod(cluster_profile(topology="shared").platform, "n1", "prepare", remove=True)
    assert shared["spec"]["containers"][0]["command"][-3:] == ["shared", "185", "remove"]


def test_what_a_job_needs() -> None:
    resources = {"driver_memory": "1g", "executor_memory": "2g", "executors": 3, "cores": 1}
    need = need_of(cluster_profile(resources=resources, driver_cpu="1", executor_cpu="500m").platform)
    assert need.cpu == 2.5
    assert need.memory == (1024 + 512 + 3 * (2048 + 512)) << 20
    assert (need.largest_cpu, need.largest_memory) == (1, 2560 << 20)
    assert need_of(cluster_profile(resources=resources, mode="client").platform).cpu == 1.5

"""Documents for the cluster: as agreed, without a secret, without a right that is not needed."""

import json
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.spark.k8s.application import spark_application
from ppml_ops.spark.k8s.platform import SHARED_NODE
from ppml_ops.spark.k8s.pods import driver_pod, executor_template, node_pod
from ppml_ops.spark.profiles import Profile, load_profile
from tests.unit.spark.k8s.pod_builders import GENERATION, plan

GOLDEN = Path(__file__).parents[1] / "golden"
RUN_KEY = GENERATION.rpartition("-g")[0]
RICH = {
    "image_pull_secrets": ["registry"],
    "node_selector": {"tdx": "true"},
    "tolerations": [{"key": "tdx", "operator": "Exists"}],
    "runtime_class": "kata-tdx",
    "annotations": {"example.org/a": "b"},
    "extended_resources": {"sgx.intel.com/epc": "64Mi"},
    "image_pull_policy": "Always",
}


def tdx() -> Profile:
    return load_profile("tdx-vm")


def rich() -> Profile:
    document = load_profile("k8s").model_dump(mode="json")
    document["kubernetes"] |= RICH
    return Profile.model_validate(document)


DOCUMENTS = {
    "driver-pod": lambda: driver_pod(plan(), tdx()),
    "executor-template": lambda: executor_template(plan(), tdx()),
    "node-pod": lambda: node_pod(RUN_KEY, tdx(), "node-1", f"{RUN_KEY}-node-x", 3600),
    "spark-application": lambda: spark_application(plan(), tdx(), "4.3.0"),
    "driver-pod-rich": lambda: driver_pod(plan(code_pieces=2), rich()),
}


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_documents_are_as_agreed(name: str) -> None:
    """After a change that is meant, write the golden file anew out of the failed comparison."""
    assert DOCUMENTS[name]() == json.loads((GOLDEN / f"{name}.json").read_text())


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document["spec"]
    return list(spec["driver"]["template"]["spec"]["containers"] if "driver" in spec else spec["containers"])


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_no_root_no_writable_root_no_capability(name: str) -> None:
    document = DOCUMENTS[name]()
    for container in containers(document):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("valueFrom" in one and "fieldRef" in one["valueFrom"] for one in container["env"])


def test_only_the_driver_has_an_account() -> None:
    assert driver_pod(plan(), tdx())["spec"]["automountServiceAccountToken"] is True
    assert executor_template(plan(), tdx())["spec"]["automountServiceAccountToken"] is False
    assert node_pod(RUN_KEY, tdx(), "n", "x", 1)["spec"]["automountServiceAccountToken"] is False


def test_jobs_see_the_folder_of_their_own_run_only() -> None:
    (mount,) = [
        one
        for one in driver_pod(plan(), tdx())["spec"]["containers"][0]["volumeMounts"]
        if one["mountPath"] == "/ppml/node"
    ]
    assert mount["subPathExpr"] == f"$(NODE_NAME)/{RUN_KEY}"


def test_a_shared_folder_has_no_node() -> None:
    document = load_profile("k8s").model_dump(mode="json")
    document["kubernetes"] |= {"topology": "shared", "node_selector": {"a": "b"}}
    profile = Profile.model_validate(document)
    (mount,) = [
        one
        for one in driver_pod(plan(), profile)["spec"]["containers"][0]["volumeMounts"]
        if one["mountPath"] == "/ppml/node"
    ]
    assert mount["subPathExpr"] == f"shared/{RUN_KEY}"
    spec = node_pod(RUN_KEY, profile, SHARED_NODE, "x", 1)["spec"]
    assert "affinity" not in spec and spec["nodeSelector"] == {"a": "b"}


def test_the_operator_never_starts_a_second_driver() -> None:
    spec = spark_application(plan(), tdx(), "4.3.0")["spec"]
    assert spec["restartPolicy"] == {"type": "Never"}
    assert "args" not in containers({"spec": spec})[0]

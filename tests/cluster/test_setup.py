"""Set-up, doctor and teardown in a real cluster: again without effect, refused where rights are missing."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ppml_ops.cli.app import app
from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.checkup import check_up
from ppml_ops.spark.k8s.names import ROLE, run_labels
from ppml_ops.spark.k8s.nodepods import NodePods
from ppml_ops.spark.k8s.nodes import usable
from ppml_ops.spark.k8s.objects import SUBMITTER, prepare_pod, volume
from ppml_ops.spark.k8s.objects import namespace as namespace_document
from ppml_ops.spark.k8s.setup import STEPS, plan, teardown
from ppml_ops.spark.k8s.trouble import is_over
from ppml_ops.spark.profiles import Profile
from tests.support import cluster as support
from tests.support.cluster_site import a_profile, account_access, new_name, plain_pod, set_up, wait_until

KEY = "try-20261120-0123456789ab"


@pytest.fixture
def other(spark_image: str, tmp_path: Path) -> Profile:
    """Nothing was set up for it."""
    return a_profile(new_name(), spark_image, tmp_path)


@pytest.fixture
def submitter(api: Cluster, profile: Profile, tmp_path: Path) -> ClusterAccess:
    return account_access(api, profile.platform.namespace, SUBMITTER, tmp_path)


def config_map(profile: Profile, name: str = "mine") -> dict[str, object]:
    meta = {"name": name, "namespace": profile.platform.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {}}


def test_again_nothing_changes(api: Cluster, profile: Profile) -> None:
    steps = plan(api, profile)
    assert tuple(step.name for step in steps) == STEPS
    assert [step.diff() for step in steps[:3]] == ["", "", ""]
    for step in steps[:3]:
        assert {line.partition(": ")[2] for line in step.apply().split("; ")} == {"as it should be"}
    assert "ready" in steps[3].apply()
    assert steps[4].apply() == "ppml-nodes is Bound"


def test_a_change_is_shown_and_mended(api: Cluster, profile: Profile) -> None:
    namespace = profile.platform.namespace
    role = api.get("Role", namespace, "ppml-driver")
    assert role is not None
    role["rules"][0]["verbs"] = ["get"]
    role["metadata"].pop("managedFields")
    api.apply(role)
    step = plan(api, profile)[1]
    assert "+  - deletecollection" in step.diff()
    assert f"roles {namespace}/ppml-driver: changed" in step.apply()
    assert step.diff() == ""


def test_a_dry_run_makes_nothing(api: Cluster, other: Profile) -> None:
    shown = {step.name: step.diff() for step in plan(api, other)}
    assert f"+  name: {other.platform.namespace}" in shown["namespace"]
    assert "+  kind: ClusterRole" in shown["accounts"]
    assert "prepare" in shown["nodes"]
    assert api.get("Namespace", None, other.platform.namespace) is None
    assert api.get("ClusterRole", None, f"{SUBMITTER}-{other.platform.namespace}") is None


def test_the_submitters_rights_suffice_and_end_there(
    api: Cluster, profile: Profile, submitter: ClusterAccess
) -> None:
    theirs = Cluster(submitter)
    assert theirs.whoami() == f"system:serviceaccount:{profile.platform.namespace}:{SUBMITTER}"
    faults = [check for check in check_up(theirs, profile) if check.ok is False]
    assert faults == []
    pods = NodePods(submitter, profile, KEY)
    node = usable(theirs.find("Node"), profile.platform)[0]
    pods.folder(node, "in/people").create_only("a", b"1")
    assert pods.folder(node, "in/people").read("a", 9) == b"1"
    pods.folder(node).remove()
    pods.remove()
    theirs.create(config_map(profile))
    assert theirs.delete("ConfigMap", profile.platform.namespace, "mine")
    for verb, resource in (
        ("get", "secrets"),
        ("create", "roles"),
        ("patch", "pods"),
        ("create", "serviceaccounts"),
    ):
        assert not theirs.may(verb, resource, profile.platform.namespace)
    assert not theirs.may("list", "pods", "kube-system")


def test_without_rights_it_says_whose_turn_it_is(submitter: ClusterAccess, other: Profile) -> None:
    with pytest.raises(ConfigError, match=r"may not .*namespaces.*cluster administrator"):
        plan(Cluster(submitter), other)[0].apply()


def test_the_doctor_finds_what_is_missing(api: Cluster, profile: Profile, other: Profile) -> None:
    assert [check for check in check_up(api, profile) if check.ok is False] == []
    faults = {check.name: check for check in check_up(api, other) if check.ok is False}
    assert set(faults) == {"namespace", "driver's rights", "volume"}
    assert "ppml-ops cluster setup --profile test" in faults["volume"].remedy
    greedy = a_profile(
        profile.platform.namespace,
        "nowhere/none:1",
        Path("/nowhere"),
        image_pull_policy="Never",
        node_selector={"tee": "nowhere"},
        runtime_class="nowhere",
    )
    faults = {check.name: check for check in check_up(api, greedy) if check.ok is False}
    assert {"nodes", "resources", "installed kinds"} <= set(faults)
    assert "has not the label tee=nowhere" in faults["nodes"].seen


def test_teardown_stops_for_a_running_driver_and_spares_what_is_not_its_own(
    api: Cluster, other: Profile, spark_image: str
) -> None:
    space = other.platform.namespace
    with set_up(api, other):
        driver = plain_pod(space, "d", spark_image, ["sleep", "60"])
        driver["metadata"]["labels"] = run_labels(KEY) | {ROLE: "driver"}
        api.create(driver)
        with pytest.raises(ConfigError, match="d is running"):
            list(teardown(api, other))
        api.delete("Pod", space, "d", grace=0)
        api.create(config_map(other))
        said = list(teardown(api, other))
        assert f"namespaces {space}: stays, because of configmaps {space}/mine" in said
        assert api.get("Role", space, "ppml-driver") is None
        assert api.get("ClusterRole", None, f"{SUBMITTER}-{space}") is None


def test_the_commands(
    api: Cluster, profile: Profile, cluster: support.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPML_OPS_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "test.yaml").write_text(yaml.safe_dump(profile.model_dump(mode="json")))
    run = CliRunner()
    done = run.invoke(app, ["doctor", "cluster", "--profile", "test"])
    assert done.exit_code == 0, done.output
    done = run.invoke(app, ["cluster", "setup", "--profile", "test", "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    done = run.invoke(app, ["cluster", "teardown", "--profile", "test"])
    assert "would remove" in done.output
    done = run.invoke(app, ["cluster", "reap", "--profile", "test"])
    assert "0 things to remove" in done.output


def test_the_dag_does_the_same(
    profile: Profile, cluster: support.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow")
    from ppml_ops.airflow.cluster import CheckUp, Reap, SetUp

    monkeypatch.setenv("PPML_OPS_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig)
    monkeypatch.setattr("ppml_ops.airflow.cluster.find_connections", dict)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "test.yaml").write_text(yaml.safe_dump(profile.model_dump(mode="json")))
    context = {"params": {"profile": "test", "dry_run": False}}
    for step in STEPS:
        SetUp(task_id=step, step=step).execute(context)  # type: ignore[arg-type]
    CheckUp(task_id="check_up").execute(context)  # type: ignore[arg-type]
    Reap(task_id="reap").execute(context)  # type: ignore[arg-type]


def test_a_claim_of_the_users_own_is_used_as_it_is(
    api: Cluster, spark_image: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Stands for NFS and storage classes: another tool's volume, which user 185 may write to."""
    mine = a_profile(new_name(), spark_image, tmp_path_factory.mktemp("own"), topology="shared")
    space = mine.platform.namespace
    api.apply(namespace_document(mine))
    made = volume(mine.platform)
    for one in made:
        one["metadata"]["labels"] = {"made-by": "somebody"}
    made[0]["spec"]["hostPath"]["type"] = "DirectoryOrCreate"
    for one in made:
        api.apply(one)
    try:
        node = usable(api.find("Node"), mine.platform)[0]
        owner = prepare_pod(mine.platform, node, "owner")
        owner["metadata"]["namespace"] = "default"
        api.create(owner)
        wait_until(lambda: is_over(api.get("Pod", "default", "owner") or {}))
        api.delete("Pod", "default", "owner", grace=0)
        steps = {step.name: step for step in plan(api, mine)}
        assert steps["volume"].diff() == ""
        assert "used as it is" in steps["volume"].apply()
        steps["accounts"].apply()
        assert "ready" in steps["nodes"].apply()
        said = list(teardown(api, mine))
        assert any("ppml-nodes: stays, set-up did not make it" in line for line in said)
    finally:
        api.delete("PersistentVolumeClaim", space, "ppml-nodes")
        api.delete("PersistentVolume", None, made[0]["metadata"]["name"])
        api.delete("Namespace", None, space)

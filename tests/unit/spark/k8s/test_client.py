import stat
from pathlib import Path

import pytest
import yaml

from ppml_ops.errors import ConfigError
from ppml_ops.spark.inside import Work
from ppml_ops.spark.k8s import client
from ppml_ops.spark.k8s.client import api_server, client_submission
from ppml_ops.spark.k8s.secret import rpc_secret
from ppml_ops.spark.placement import AgentConfig, NoDevice
from ppml_ops.spark.render import Tools
from tests.unit.spark.builders import placement
from tests.unit.spark.k8s.pod_builders import GENERATION, plan, pod_job, profile

KEYS = {"people": bytes(32), "result": bytes(range(32))}
TOOLS = Tools(python="/venv/bin/python", spark_home="/spark", java_home="/java", jar="/jars/ppml.jar")
KUBECONFIG = {
    "current-context": "mine",
    "contexts": [
        {"name": "other", "context": {"cluster": "b", "user": "u"}},
        {"name": "mine", "context": {"cluster": "a", "user": "u"}},
    ],
    "clusters": [
        {"name": "a", "cluster": {"server": "https://10.89.0.1:6443/"}},
        {"name": "b", "cluster": {"server": "https://elsewhere"}},
    ],
    "users": [{"name": "u", "user": {"token": "t"}}],
}
TWO_USERS = [{"name": "u", "user": {"exec": {"command": "evil"}}}, {"name": "u", "user": {"token": "t"}}]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(KUBECONFIG))
    return str(tmp_path / "kubeconfig")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    folder = tmp_path / "g1"
    folder.mkdir()
    (folder / "pods.json").write_bytes(plan(driver_address="10.89.0.1").encode())
    monkeypatch.setattr(client, "shared_socket_folder", lambda _generation: tmp_path / "sockets")
    placed = placement(folder=str(folder))
    config = AgentConfig(
        **placed.model_dump(exclude={"folder", "versions"}), job="/j", device=NoDevice(), tee="none"
    )
    return Work(config, pod_job(), profile(), folder)


def test_secret_and_template_lie_in_the_work_folder(work: Work, kubeconfig: str) -> None:
    made = client_submission(work, TOOLS, KEYS, {"KUBECONFIG": kubeconfig, "AWS_SECRET_ACCESS_KEY": "hunter2"})
    secret = Path(made.properties["spark.authenticate.secret.driver.file"])
    assert secret.is_relative_to(work.folder / "work")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_bytes() == rpc_secret(KEYS, GENERATION)
    assert Path(made.properties["spark.kubernetes.executor.podTemplateFile"]).is_file()
    assert made.properties["spark.master"] == "k8s://https://10.89.0.1:6443"
    assert made.environment["KUBECONFIG"] == kubeconfig
    assert "AWS_SECRET_ACCESS_KEY" not in made.environment
    assert secret.read_text() not in made.defaults() + "".join(made.environment.values())


def test_a_driver_without_an_address_is_refused(work: Work, kubeconfig: str) -> None:
    (work.folder / "pods.json").write_bytes(plan().encode())
    with pytest.raises(ConfigError, match="no address under which executors reach"):
        client_submission(work, TOOLS, KEYS, {"KUBECONFIG": kubeconfig})


def test_in_a_pod_the_api_server_is_that_of_its_cluster() -> None:
    given = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    assert api_server(given) == "https://10.96.0.1:443"


@pytest.mark.parametrize("kind", ["exec", "auth-provider"])
def test_a_user_that_runs_a_command_is_refused(tmp_path: Path, kind: str) -> None:
    users = [{"name": "u", "user": {kind: {"command": "evil"}}}, {"name": "other", "user": {"token": "t"}}]
    (tmp_path / "k").write_text(yaml.safe_dump(KUBECONFIG | {"users": users}))
    with pytest.raises(ConfigError, match=f"has {kind}, which would run a command inside the TEE"):
        api_server({"KUBECONFIG": str(tmp_path / "k")})


def test_other_users_commands_do_not_matter(tmp_path: Path) -> None:
    users = [{"name": "u", "user": {"token": "t"}}, {"name": "other", "user": {"exec": {}}}]
    (tmp_path / "k").write_text(yaml.safe_dump(KUBECONFIG | {"users": users}))
    assert api_server({"KUBECONFIG": str(tmp_path / "k")}) == "https://10.89.0.1:6443"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        yaml.safe_dump(KUBECONFIG | {"current-context": "x"}),
        yaml.safe_dump(KUBECONFIG | {"users": TWO_USERS}),
        None,
    ],
)
def test_a_kubeconfig_that_names_no_server_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "k").write_text(text)
    with pytest.raises(ConfigError, match="can't be used"):
        api_server({"KUBECONFIG": str(tmp_path / "k")})

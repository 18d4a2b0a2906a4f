from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s.platform import KubernetesPlatform
from ppml_ops.spark.profiles import Profile, load_profile, profile_names


def test_shipped_profiles_are_valid() -> None:
    assert profile_names() == [
        "k8s", "local", "local-no-tee", "tdx-vm", "tdx-vm-client", "tdx-vm-operator",
    ]  # fmt: skip
    assert load_profile("local").tee == "tdx"
    assert load_profile("local").nodes == ("node-a", "node-b")
    assert load_profile("local-no-tee").device == "none"


def test_every_field_is_documented() -> None:
    assert all(field.description for field in Profile.model_fields.values())


def test_own_folder_comes_first(tmp_path: Path) -> None:
    text = (
        "{name: local, title: mine, launcher: local, tee: none, device: none, master: 'local[1]', nodes: [n1]}"
    )
    (tmp_path / "local.yaml").write_text(text)
    assert load_profile("local", tmp_path).title == "mine"
    assert load_profile("local-no-tee", tmp_path).name == "local-no-tee"


def test_unknown_profile_says_where_it_looked_and_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no profile 'moon'.*profiles.*local, local-no-tee") as caught:
        load_profile("moon", tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "tee: none",
        "device: none",
        "master: yarn",
        "nodes: []",
        "nodes: [a, a]",
        "skip_attestation: true",
        "name: x",
    ],
)
def test_bad_profiles_are_refused(tmp_path: Path, change: str) -> None:
    fields = {
        "name": "p", "title": "t", "launcher": "local", "tee": "tdx", "device": "socket", "master": "local[1]",
        "nodes": "[n1]",
    }  # fmt: skip
    key, value = change.split(": ")
    lines = [f"{name}: {text}" for name, text in (fields | {key: value}).items()]
    (tmp_path / "p.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="'p' is not valid"):
        load_profile("p", tmp_path)


def test_yaml_can_not_build_objects(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("!!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="not YAML"):
        load_profile("p", tmp_path)


def test_what_processes_see_of_each_other_is_said_by_the_job() -> None:
    def topology(**kubernetes: str) -> str:
        return load_profile("k8s").model_copy(update={"kubernetes": KubernetesPlatform(**kubernetes)}).topology

    image = {"image": "ppml-ops-spark:1"}
    assert load_profile("local").topology == "two-nodes"
    assert topology(**image) == topology(**image, topology="shared", mode="client") == "node-folders"
    assert topology(**image, topology="shared") == "shared"

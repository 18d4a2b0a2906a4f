import json
from pathlib import Path

import pytest

from ppml_ops.attestation.measure import code_digest
from ppml_ops.errors import ConfigError, DeniedError
from ppml_ops.spark.agent import read_config
from ppml_ops.spark.job import CodeBundle, SparkJob
from ppml_ops.spark.k8s.arrival import Arrived, arrive, td_name
from ppml_ops.spark.k8s.plan import AGENT, JOB, PODS, TICKET
from tests.unit.spark.builders import job
from tests.unit.spark.k8s.pod_builders import GENERATION, hand_over, plan, pod_environment


def of(code: Path) -> SparkJob:
    main = code.name if code.is_file() else "main.py"
    return job(profile="k8s", topology="node-folders", code=CodeBundle(main=main, digest=code_digest(code)))


def arrived(tmp_path: Path, code: Path, **changes: bytes) -> Arrived:
    hand_over(tmp_path / "given", code, of(code), **changes)
    return arrive(pod_environment(), tmp_path / "given", tmp_path / "g")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    code = tmp_path / "app.py"
    code.write_text("print(1)\n")
    return code


def test_everything_is_copied_and_bound_to_this_node(tmp_path: Path, script: Path) -> None:
    found = arrived(tmp_path, script)
    config = found.work.config
    assert read_config(tmp_path / "g" / AGENT) == config
    for path in (config.job, config.code, config.ticket, config.broker_ca):
        assert Path(path).is_relative_to(tmp_path / "g")
    for folder in ("", "work", "code"):
        assert (tmp_path / "g" / folder).stat().st_mode & 0o777 == 0o700
    bindings = {binding.dataset: binding for binding in config.bindings}
    assert [base.node for binding in config.bindings for base in binding.bases] == ["node-2", "node-2"]
    assert (bindings["people"].spread, bindings["result"].spread) == (False, True)
    assert (found.plan, found.pod_name, found.address) == (plan(), f"{GENERATION}-driver", "10.88.2.7")
    assert found.work.job == of(script)
    assert found.work.profile.name == "k8s"


def test_a_single_file_is_measured_as_one(tmp_path: Path, script: Path) -> None:
    assert code_digest(Path(arrived(tmp_path, script).work.config.code)) == code_digest(script)


@pytest.mark.parametrize("names", [["main.py"], ["main.py", "lib/a.py"]])
def test_a_folder_is_measured_as_one(tmp_path: Path, names: list[str]) -> None:
    code = tmp_path / "bundle"
    for name in names:
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(f"# {name}\n")
    assert code_digest(Path(arrived(tmp_path, code).work.config.code)) == code_digest(code)


def test_what_changes_later_in_the_config_map_counts_no_more(tmp_path: Path, script: Path) -> None:
    found = arrived(tmp_path, script)
    (tmp_path / "given" / JOB).write_text("evil")
    assert Path(found.work.config.job).read_bytes() == of(script).canonical()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({PODS: b"{}"}, "pods.json is not valid"),
        ({PODS: b" " * 70_000}, "more than 65536 bytes"),
        ({PODS: plan(generation="other-g1").encode()}, "is of generation"),
        ({PODS: plan(code_pieces=2).encode()}, r"code.001 can't be read"),
        ({AGENT: b"{}"}, "agent's configuration"),
        ({JOB: b"{}"}, "not a SparkJob|job.json or profile.json"),
        ({TICKET: b"x" * ((4 << 20) + 1)}, "more than 4194304 bytes"),
        ({"code.000": b"no tar"}, "can't be unpacked"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, script: Path, changes: dict[str, bytes], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        arrived(tmp_path, script, **changes)


@pytest.mark.parametrize("environment", [{"NODE_NAME": ""}, {"NODE_NAME": "../x"}, {"POD_NAME": ""}])
def test_a_pod_that_does_not_know_itself_is_refused(
    tmp_path: Path, script: Path, environment: dict[str, str]
) -> None:
    hand_over(tmp_path / "given", script, of(script))
    with pytest.raises(ConfigError, match=r"is not set|no node name"):
        arrive(pod_environment(**environment), tmp_path / "given", tmp_path / "g")


def test_a_folder_that_is_there_already_is_refused(tmp_path: Path, script: Path) -> None:
    (tmp_path / "g").mkdir()
    with pytest.raises(ConfigError, match="can't be made anew in it: File exists"):
        arrived(tmp_path, script)


@pytest.mark.parametrize(("topology", "spread"), [("shared", True), ("node-folders", False)])
def test_what_processes_see_of_each_other_is_measured(
    tmp_path: Path, script: Path, topology: str, spread: bool
) -> None:
    hand_over(tmp_path / "given", script, of(script).model_copy(update={"topology": topology}))
    document = json.loads((tmp_path / "given" / AGENT).read_bytes())
    document["bindings"][1]["spread"] = spread
    (tmp_path / "given" / AGENT).write_text(json.dumps(document))
    with pytest.raises(DeniedError, match=f"the topology of the signed job is {topology}"):
        arrive(pod_environment(), tmp_path / "given", tmp_path / "g")


def test_bindings_with_other_names_stay(tmp_path: Path, script: Path) -> None:
    hand_over(tmp_path / "given", script, of(script))
    document = json.loads((tmp_path / "given" / AGENT).read_bytes())
    document["bindings"][0]["bases"][0]["node"] = "shared"
    (tmp_path / "given" / AGENT).write_text(json.dumps(document))
    found = arrive(pod_environment(), tmp_path / "given", tmp_path / "g")
    assert found.work.config.bindings[0].bases[0].node == "shared"


@pytest.mark.parametrize(
    ("pod", "name"),
    [(f"{GENERATION}-exec-3", f"{GENERATION}-exec-3"), ("other-driver", f"{GENERATION}-other-driver")],
)
def test_every_pod_has_a_td_of_its_own(tmp_path: Path, script: Path, pod: str, name: str) -> None:
    hand_over(tmp_path / "given", script, of(script))
    assert td_name(arrive(pod_environment(POD_NAME=pod), tmp_path / "given", tmp_path / "g")) == name

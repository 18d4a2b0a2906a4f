"""Where pods find the bytes of a job, by the profile's topology."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle import placements
from ppml_ops.lifecycle.generations import begin
from ppml_ops.lifecycle.run import Run
from ppml_ops.spark.job import NODE_FOLDERS
from ppml_ops.spark.placement import Binding
from tests.unit.spark.builders import job
from tests.unit.spark.k8s.profiles import cluster_profile

STORE = {
    "topology": "object-store",
    "object_store": {"url": "s3://bucket/runs", "credentials": "store"},
}


@pytest.fixture
def bindings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Those of a job that reads `people` and writes `result`, by `kubernetes` and `in_place`."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(placements, "_placement", lambda _generation, _job, found: found)

    def make(kubernetes: dict[str, Any], **in_place: str) -> dict[str, Binding]:
        profile = cluster_profile(**kubernetes)
        (tmp_path / "profiles").mkdir()
        (tmp_path / "profiles/w.yaml").write_text(yaml.safe_dump(profile.model_dump(mode="json")))
        run = Run(
            home=tmp_path, storage=str(tmp_path / "storage"), dag_id="d", run_id="r", run_type="manual",
            day=date(2026, 11, 20), profile_name="w",
        )  # fmt: skip
        run.folder.mkdir(parents=True)
        with run.records.recording("issue_ticket") as facts:
            facts["in_place"] = in_place
        found: Any = placements.pod_placement(begin(run, "t"), job(topology=NODE_FOLDERS))
        return {one.dataset: one for one in found}

    return make


def test_each_node_has_its_own_folder(bindings: Any) -> None:
    found = bindings({})
    assert found["people"].bases[0].model_dump() == {"node": "this-node", "uri": "file:///ppml/node/in/people"}
    assert (found["people"].spread, found["result"].spread) == (False, True)


def test_in_a_store_all_pods_have_one(bindings: Any) -> None:
    found = bindings(STORE)
    read, written = found["people"], found["result"]
    assert read.bases[0].node == written.bases[0].node == "object-store"
    assert read.bases[0].uri.startswith("s3a://bucket/runs/d-20261120-")
    assert read.bases[0].uri.endswith("/in/people")
    assert written.bases[0].uri.endswith("/g1/result")
    assert (read.spread, read.logs) == (False, None)
    assert (written.spread, written.logs) == (True, "file:///ppml/node/g1/result")


def test_an_input_in_a_store_is_read_there(bindings: Any) -> None:
    found = bindings(STORE, people="s3://other/people")
    assert found["people"].bases[0].model_dump() == {"node": "storage", "uri": "s3a://other/people"}


def test_an_input_in_a_folder_of_this_host_is_refused(bindings: Any) -> None:
    with pytest.raises(ConfigError, match="a folder of this host, which pods can't see"):
        bindings({}, people="/data/people")

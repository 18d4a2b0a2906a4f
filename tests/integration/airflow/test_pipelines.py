"""DAGs made from specifications: sound in shape, one task for each input, and a wrong file harms no other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ppml_ops.airflow.policies import shape_problems

pytestmark = pytest.mark.airflow

PIPELINES = Path(__file__).parents[3] / "pipelines"


def spec(**change: Any) -> dict[str, Any]:
    return {
        "ppml": "pipeline/1",
        "dag": "own",
        "purpose": "own",
        "job": {"application": "job.py"},
        "inputs": [{"dataset": "sim-a", "source": "/a.csv"}],
        "outputs": [{"dataset": "sim-b"}],
    } | change


def build(folder: Path, **change: Any) -> Any:
    from ppml_ops.airflow.pipelines.factory import pipeline

    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(spec(**change)))
    return pipeline(path)


def test_every_pipeline_has_the_life_cycle_of_the_written_out_dag(dag: Any, tmp_path: Path) -> None:
    from ppml_ops.airflow.pipelines.factory import pipelines

    (shipped,) = pipelines(PIPELINES).values()
    for own in (shipped, build(tmp_path)):
        assert shape_problems(own) == []
        for task in dag.tasks:
            mine = own.get_task(task.task_id)
            assert mine.downstream_task_ids == task.downstream_task_ids, task.task_id
            assert mine.is_teardown == task.is_teardown
            assert mine.is_setup == task.is_setup
        assert set(own.task_ids) == set(dag.task_ids)


def test_inputs_decide_the_shape_of_encrypt_upload(tmp_path: Path) -> None:
    assert not build(tmp_path).get_task("encrypt_upload").is_mapped
    sources = [{"dataset": f"sim-{n}", "source": f"/{n}.csv"} for n in range(3)]
    assert build(tmp_path, inputs=sources).get_task("encrypt_upload").is_mapped
    in_place = build(tmp_path, inputs=[{"dataset": "sim-a", "in_place": "file:///a"}])
    assert "encrypt_upload" not in in_place.task_ids
    assert shape_problems(in_place) == []


def test_keys_of_bigdl_ppml_reach_the_stages(tmp_path: Path) -> None:
    key = "simple:/keys/primaryKey"
    source = {"dataset": "sim-a", "source": "/data/a", "source_key": key}
    dag = build(tmp_path, inputs=[source], export_key=key)
    assert dag.get_task("encrypt_upload").source_key == key
    assert dag.get_task("decrypt").export_key == dag.get_task("generate_key").export_key == key
    sources = [source, {"dataset": "sim-c", "source": "/data/c"}]
    mapped = build(tmp_path, inputs=sources).get_task("encrypt_upload")
    assert [one["source_key"] for one in mapped.expand_input.value] == [key, ""]


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": "every night"},
        {"tags": ["x" * 101]},
        {"params": {"self": {"default": 1, "self": 2}}},
        {"schedule": "0 0 * * *", "params": {"needed": {"type": "string"}}},
    ],
)
def test_what_airflow_does_not_take_is_wrong_for_that_file_only(tmp_path: Path, change: dict[str, Any]) -> None:
    from ppml_ops.airflow.pipelines.factory import pipelines

    (tmp_path / "bad (copy).yaml").write_text(yaml.safe_dump(spec(dag="bad", **change)))
    build(tmp_path)
    found = pipelines(tmp_path)
    assert sorted(found) == ["bad-copy-", "own"]
    assert "Airflow does not take it" in found["bad-copy-"].description
    for dag in found.values():
        dag.validate()


def test_a_wrong_file_never_takes_the_place_of_a_good_one(tmp_path: Path) -> None:
    from ppml_ops.airflow.pipelines.factory import pipelines

    (tmp_path / "a.yaml").write_text(yaml.safe_dump(spec(dag="own")))
    (tmp_path / "own.yaml").write_text("ppml: pipeline/9\n")
    found = pipelines(tmp_path)
    assert sorted(found) == ["broken-own", "own"]
    assert "broken" not in found["own"].tags


def test_a_wrong_file_gets_a_dag_that_says_so_and_the_others_stay(tmp_path: Path) -> None:
    from ppml_ops.airflow.pipelines.factory import pipelines

    build(tmp_path)
    (tmp_path / "second.yaml").write_text("ppml: pipeline/9\n")
    (tmp_path / "third.yaml").write_text(yaml.safe_dump(spec()))
    found = pipelines(tmp_path)
    assert sorted(found) == ["own", "second", "third"]
    assert "broken" not in found["own"].tags
    assert found["second"].description.startswith("BROKEN: the pipeline specification second.yaml is wrong")
    assert found["third"].description.startswith(
        "BROKEN: the pipeline specification third.yaml is wrong: it has the DAG id own"
    )

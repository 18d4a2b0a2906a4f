"""The pipeline format: what it takes, and how each mistake is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ppml_ops.airflow.pipelines.spec import PipelineSpec, load_spec
from ppml_ops.errors import ConfigError

PROJECT = Path(__file__).parents[3]
SPEC: dict[str, Any] = {
    "ppml": "pipeline/1",
    "dag": "words",
    "purpose": "words",
    "job": {"application": "job.py"},
    "inputs": [{"dataset": "sim-texts", "source": "/data/{date}.txt"}],
    "outputs": [{"dataset": "sim-words"}],
}


def write(tmp_path: Path, **change: Any) -> Path:
    path = tmp_path / "words.yaml"
    path.write_text(yaml.safe_dump(SPEC | change))
    return path


def test_a_short_specification_gets_safe_defaults(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path))
    assert (spec.schedule, spec.catchup, spec.timezone, spec.max_active_runs) == (None, False, "UTC", 4)
    assert spec.job_name == "words"
    assert spec.inputs[0].table == "data"


@pytest.mark.parametrize("path", sorted((PROJECT / "pipelines").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_pipelines_are_right_and_their_files_are_there(path: Path) -> None:
    spec = load_spec(path)
    for name in (spec.job.application, spec.check):
        assert name is None or (path.parent / name).exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ppml": "pipeline/2"}, "ppml: "),
        ({"inputs": []}, "inputs: "),
        ({"outputs": []}, "outputs: "),
        ({"outputs": [{"dataset": "sim-texts"}]}, "data set sim-texts is named twice"),
        ({"inputs": [{"dataset": "sim-texts"}]}, "either `source` or `in_place`"),
        (
            {"inputs": [{"dataset": "sim-texts", "in_place": "/x", "source_key": "simple:/k"}]},
            "has a `source_key` but no `source`",
        ),
        ({"inputs": [{"dataset": "Texts", "source": "x"}]}, r"inputs\.0\.dataset: "),
        ({"outputs": [{"dataset": "sim-words", "expected": "x.csv"}]}, "no `columns` to compare"),
        ({"params": {"date": {"default": 1}}}, "the parameter date exists in every pipeline"),
        ({"catchup": True}, "catchup needs `schedule` and `start`"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus is no time zone"),
        ({"timezone": "../../etc/passwd"}, "is no time zone"),
        ({"job": {"application": "job.py", "conf": {"spark.jars": "x.jar"}}}, r"spark\.jars"),
        ({"job": {"application": "job.py", "secret": "hunter2"}}, r"job\.secret: Extra inputs"),
        ({"schedule": 5}, "schedule: "),
    ],
)
def test_mistakes_are_named_without_values(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        load_spec(write(tmp_path, **change))
    assert "words.yaml is wrong" in error.value.what
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [", "it is not YAML, line 1"),
        (b"\xff\xfe\x00", "it is not YAML"),
        (b"- 1\n", "wrong: "),
        (b"", "wrong: "),
        (b"[" * 5000, "it is not YAML"),
        (b"#" * 300_000, "it has 300000 bytes, more than 262144"),
        (b"!!python/object/apply:os.system [id]", "it is not YAML"),
    ],
)
def test_files_that_are_no_specification(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_spec(path)
    with pytest.raises(ConfigError, match="can't be read"):
        load_spec(tmp_path / "absent.yaml")


def test_names_of_jobs_fit_spark_and_kubernetes() -> None:
    name = PipelineSpec.model_validate(SPEC | {"dag": "My.Long__Pipeline-" + "x" * 60}).job_name
    assert name == "my-long-pipeline-" + "x" * 23

import json

import pytest
from pydantic import ValidationError

from ppml_ops.canonical import sha384_hex
from ppml_ops.errors import ConfigError
from ppml_ops.spark.job import CodeBundle, JobDataset, SparkJob, parse_job

from .builders import DIGEST, job


def test_document_is_canonical_and_comes_back_equal() -> None:
    document = job().canonical()
    assert document.startswith(b'{"arguments":["--input"')
    assert parse_job(document) == job()
    assert job().job_digest == sha384_hex(document)


def test_code_arguments_data_sets_and_conf_are_in_the_digest() -> None:
    digests = {
        job().job_digest,
        job(code=CodeBundle(main="simple_query.py", digest="1" * 64)).job_digest,
        job(arguments=("--min-age", "21")).job_digest,
        job(datasets=(JobDataset(dataset="result", mode="write"),)).job_digest,
        job(conf={"spark.sql.shuffle.partitions": "4"}).job_digest,
    }
    assert len(digests) == 5


def test_the_digest_is_the_one_that_a_td_measures(tmp_path) -> None:
    from ppml_ops.attestation.measure import code_digest, measured_job_digest

    code = tmp_path / "simple_query.py"
    code.write_text("print(1)\n")
    signed = job(code=CodeBundle(main=code.name, digest=code_digest(code)))
    assert measured_job_digest(signed.canonical(), code) == signed.job_digest
    code.write_text("print(2)\n")
    assert measured_job_digest(signed.canonical(), code) != signed.job_digest


@pytest.mark.parametrize("main", ["/etc/passwd", "../x.py", "a/../../x.py", "", "a\\b.py", "a\nb.py"])
def test_script_must_lie_in_the_bundle(main: str) -> None:
    with pytest.raises(ValidationError):
        CodeBundle(main=main, digest=DIGEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"datasets": ()},
        {"datasets": (JobDataset(dataset="people", mode="read"),)},
        {"datasets": (JobDataset(dataset="x", mode="read"), JobDataset(dataset="x", mode="write"))},
        {"arguments": ("a\0b",)},
        {"name": "Simple Query"},
    ],
)
def test_inconsistent_jobs_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        job(**changes)


def test_refused_conf_is_a_configuration_error_that_names_the_key() -> None:
    with pytest.raises(ConfigError, match=r"spark\.plugins"):
        job(conf={"spark.plugins": ""})


def test_parse_names_the_field_and_never_shows_its_value() -> None:
    document = json.loads(job().canonical()) | {"topology": "hunter2 hunter2"}
    with pytest.raises(ConfigError, match="topology") as caught:
        parse_job(json.dumps(document).encode())
    assert "hunter2" not in str(caught.value)


def test_unknown_fields_and_versions_are_refused() -> None:
    for change in ({"extra": 1}, {"ppml": "spark-job/2"}):
        with pytest.raises(ConfigError):
            parse_job(json.dumps(json.loads(job().canonical()) | change).encode())


def test_jobs_are_frozen() -> None:
    with pytest.raises(ValidationError):
        job().name = "other"  # type: ignore[misc]
    assert isinstance(job(), SparkJob)

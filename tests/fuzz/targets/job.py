"""A SparkJob, and how a TEE measures it."""

from contextlib import suppress
from pathlib import Path

from ppml_ops.attestation.measure import measured_job_digest
from ppml_ops.errors import PpmlError
from ppml_ops.spark.job import parse_job


def run(data: bytes) -> None:
    """Parse; what parses has one canonical form."""
    with suppress(PpmlError):
        job = parse_job(data)
        assert parse_job(job.canonical()) == job
    with suppress(PpmlError):
        measured_job_digest(data, Path(__file__))

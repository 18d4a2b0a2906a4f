"""A policy, a platform profile and retention rules: YAML that people write."""

from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from ppml_ops.attestation.policy_model import DataSetPolicy
from ppml_ops.errors import PpmlError
from ppml_ops.maintenance.retention import FILE, read_rules
from ppml_ops.spark.profiles import load_profile

FOLDER = Path(mkdtemp(prefix="ppml-fuzz-"))


def run(data: bytes) -> None:
    """Parse each; a policy survives being written."""
    with suppress(PpmlError):
        policy = DataSetPolicy.from_yaml(data)
        assert DataSetPolicy.from_yaml(policy.to_yaml()) == policy
    (FOLDER / FILE).write_bytes(data)
    with suppress(PpmlError):
        read_rules(FOLDER)
    (FOLDER / "local.yaml").write_bytes(data)
    with suppress(PpmlError):
        load_profile("local", FOLDER)

"""Names and labels of what a run makes in a cluster. Pure; everything follows from run key and generation."""

from typing import Annotated

from pydantic import StringConstraints

DnsLabel = Annotated[str, StringConstraints(pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
MANAGED_BY = ("app.kubernetes.io/managed-by", "ppml-ops")
RUN = "ppml-ops.io/run"
GENERATION = "ppml-ops.io/generation"
ROLE = "ppml-ops.io/role"

#: Spark cuts `<prefix>-exec-<number>` at 63 characters.
MAX_GENERATION = 47


def run_labels(run_key: str) -> dict[str, str]:
    """On everything of a run."""
    return {MANAGED_BY[0]: MANAGED_BY[1], RUN: run_key}


def generation_labels(run_key: str, generation: str) -> dict[str, str]:
    """On everything of one try."""
    return run_labels(run_key) | {GENERATION: generation}


def selector(labels: dict[str, str]) -> str:
    """A label selector that wants all of them."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def driver_name(generation: str) -> str:
    """Pod of the driver; the Spark operator makes the same name out of a SparkApplication's."""
    return f"{generation}-driver"


def config_name(generation: str) -> str:
    """ConfigMap with job, ticket and placement."""
    return generation


def code_name(generation: str, piece: int) -> str:
    """ConfigMap with one piece of the packed code bundle."""
    return f"{generation}-code-{piece:03d}"

"""`pods.json`: what the pods of one try must know of each other. Written by the orchestrator; no secret.

Nothing in it is trusted: it decides where pods run and what they are called, never which code runs or which
keys it gets.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ppml_ops.canonical import canonical_json
from ppml_ops.spark.k8s.names import MAX_GENERATION, DnsLabel, code_name, config_name, generation_labels
from ppml_ops.spark.placement import NodeName

#: Folders inside every pod; see docs/kubernetes.md.
GENERATION_FOLDER = "/ppml/generation"
NODE_FOLDER = "/ppml/node"
WORK_FOLDER = "/ppml/work"
LOCAL_FOLDER = "/ppml/local"
SECRET_FOLDER = "/ppml/secret"  # noqa: S105  # a path
DEVICE_FOLDER = "/run/ppml-sim"

#: Files in GENERATION_FOLDER.
AGENT, JOB, PROFILE, PODS, TICKET, BROKER_CA = (
    "agent.json",
    "job.json",
    "profile.json",
    "pods.json",
    "ticket.jws",
    "broker-ca.pem",
)
CODE_PIECE = "code.{:03d}"
#: Placeholder for the node's name in bindings; each pod puts its own in.
THIS_NODE = "this-node"


class PodPlan(BaseModel):
    """One try's pods; see the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ppml: Literal["pods/1"] = "pods/1"
    run_key: DnsLabel = Field(description="Run key.")
    generation: Annotated[DnsLabel, Field(max_length=MAX_GENERATION)] = Field(description="`<run key>-g<n>`.")
    code_pieces: int = Field(ge=1, le=64, description="How many ConfigMaps hold the packed code bundle.")
    nodes: tuple[NodeName, ...] = Field(min_length=1, max_length=64, description="Nodes that have the inputs.")
    driver_address: str | None = Field(
        None, max_length=253, description="Client mode: address of the worker as the pods see it."
    )

    def encode(self) -> bytes:
        """The file's content."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def labels(self) -> dict[str, str]:
        """On everything of this try."""
        return generation_labels(self.run_key, self.generation)

    @property
    def config_maps(self) -> tuple[str, ...]:
        """Those that make up GENERATION_FOLDER."""
        pieces = (code_name(self.generation, piece) for piece in range(self.code_pieces))
        return (config_name(self.generation), *pieces)

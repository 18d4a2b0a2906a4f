"""The `kubernetes` part of a profile: where in a cluster jobs run, and how much of it they get."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ppml_ops.spark.job import Resources
from ppml_ops.spark.k8s.names import DnsLabel
from ppml_ops.spark.k8s.objectstore import ObjectStore

HostPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]{1,200}$")]
Quantity = Annotated[str, StringConstraints(pattern="^[0-9]{1,9}(m|Ki|Mi|Gi)?$")]

Mode = Literal["cluster", "client", "operator"]
#: The one node of the topology `shared`, and its folder on the volume.
SHARED_NODE = "shared"


class KubernetesPlatform(BaseModel):
    """How jobs run in a cluster; see the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(
        "cluster",
        description="Where the driver runs: `cluster` = in a pod of ours, `operator` = in the pod of a "
        "SparkApplication (Kubeflow Spark operator), `client` = on the worker that runs the task.",
    )
    namespace: DnsLabel = Field("ppml", description="Namespace of everything that a run makes.")
    image: str = Field(
        min_length=1, max_length=500, pattern=r"^\S+$", description="Image of driver, executors and node pods."
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        "IfNotPresent", description="As in a pod."
    )
    image_pull_secrets: tuple[DnsLabel, ...] = Field((), description="Names of pull secrets in the namespace.")
    service_account: DnsLabel = Field(
        "ppml-driver", description="The driver's account; it may make and delete executor pods."
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels of the nodes that are used; empty: all that take pods."
    )
    tolerations: tuple[dict[str, str | int], ...] = Field((), description="As in a pod.")
    runtime_class: DnsLabel | None = Field(None, description="RuntimeClass of the pods, e.g. of Kata TDX.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations of the pods.")
    volume_claim: DnsLabel = Field("ppml-nodes", description="Claim of the volume with the node folders.")
    volume_path: HostPath = Field(
        "/var/lib/ppml-nodes",
        description="Folder on each node; `ppml-ops cluster setup` makes the volume of it.",
    )
    topology: Literal["node-folders", "shared", "object-store"] = Field(
        "node-folders",
        description="`node-folders`: each node has a disk of its own, parts are gathered from each. "
        "`shared`: all nodes see one folder (NFS and the like), parts are gathered from it. "
        "`object-store`: pods read and write a bucket, so there is nothing to gather.",
    )
    object_store: ObjectStore | None = Field(
        None, description="With `topology: object-store`: the bucket, and the way to it."
    )
    device_path: HostPath = Field(
        "/run/ppml-sim", description="Folder on each node with the socket of the simulated TEE platform."
    )
    resources: Resources = Field(default_factory=lambda: Resources(cores=1), description="Of a job's pods.")
    driver_cpu: Quantity = Field("500m", description="CPU request of the driver.")
    executor_cpu: Quantity = Field("500m", description="CPU request of an executor.")
    extended_resources: dict[str, Quantity] = Field(
        default_factory=dict, description="Further resources of driver and executors, e.g. sgx.intel.com/epc."
    )
    start_limit: int = Field(
        300, ge=10, le=86_400, description="Seconds in which a pod must run after it was made."
    )
    executor_failures: int = Field(
        4, ge=0, le=100, description="Executors that may fail or be refused before the job is ended."
    )

    @model_validator(mode="after")
    def _store_or_folders(self) -> Self:
        if (self.topology == "object-store") != (self.object_store is not None):
            raise ValueError("`topology: object-store` and `object_store` go together")
        if self.object_store is not None and self.mode == "client":
            raise ValueError("`topology: object-store` is for drivers in pods, not for `mode: client`")
        return self

    @property
    def shared(self) -> bool:
        """Whether all nodes see one folder, called `SHARED_NODE`."""
        return self.topology == "shared"

    @property
    def spread(self) -> bool:
        """Whether no process sees all that a job wrote; in client mode the driver never does."""
        return not self.shared or self.mode == "client"

"""Which cluster, and as whom: the settings of one connection to a Kubernetes API server."""

import os
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ppml_ops.errors import ConfigError

IN_CLUSTER_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class ClusterAccess(BaseModel):
    """How to reach the API server; by default KUBECONFIG, ~/.kube/config, then the pod's own account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(None, description="Kubeconfig file; the credentials in it stay there.")
    context: str | None = Field(None, min_length=1, max_length=253, description="Context in that file.")
    in_cluster: bool = Field(False, description="Use the service account of the pod that this runs in.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.in_cluster and (self.kubeconfig or self.context):
            raise ValueError("`in_cluster` takes neither a kubeconfig nor a context")
        return self

    def configuration(self) -> Any:
        """A `kubernetes.client.Configuration` with host, CA and credentials.

        Raises:
            ConfigError: there is none, it can't be read, or it does not verify the server.
        """
        try:
            from kubernetes import client, config
        except ImportError:
            raise ConfigError(
                "the Kubernetes client is not installed here", next_step="pip install 'ppml-ops[kubernetes]'"
            ) from None
        made = client.Configuration()
        made.retries = False  # we do that, with a time limit
        where = "the service account of this pod"
        try:
            if self.in_cluster or not (self.kubeconfig or default_kubeconfig()):
                config.load_incluster_config(client_configuration=made)
            else:
                where = str(self.kubeconfig or default_kubeconfig())
                config.load_kube_config(where, self.context, made, persist_config=False)
        except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
            looked = "KUBECONFIG, ~/.kube/config and the service account of a pod"
            raise ConfigError(
                f"no way to the cluster by {where}: {type(error).__name__}: {error}"[:400],
                next_step=f"give a kubeconfig; looked at: {self.kubeconfig or looked}",
            ) from None
        if not made.verify_ssl or not str(made.host).startswith("https://"):
            raise ConfigError(
                f"{where} does not verify the API server (insecure-skip-tls-verify, or http)",
                next_step="put the cluster's CA into the kubeconfig (certificate-authority)",
            )
        return made


def default_kubeconfig() -> str | None:
    """KUBECONFIG (a list too), or the file in the home folder, if it is there."""
    if named := os.environ.get("KUBECONFIG"):
        return named
    usual = Path("~/.kube/config").expanduser()
    return str(usual) if usual.exists() else None

"""The way to a cluster out of a connection of Airflow's Kubernetes provider (type `kubernetes`)."""

import json
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir, write_private
from ppml_ops.spark.k8s.access import ClusterAccess


def cluster_access(conn_id: str, home: Path) -> ClusterAccess:
    """What a connection says: in the cluster, a kubeconfig file, or the text of one.

    A text is written to a private file in the state folder, because drivers of client mode read it too.

    Raises:
        ConfigError: no such connection, or one that does not verify the API server.
    """
    try:
        extra: dict[str, Any] = BaseHook.get_connection(conn_id).extra_dejson
    except AirflowNotFoundException:
        raise ConfigError(
            f"there is no Airflow connection {conn_id}",
            next_step="create it (Admin, Connections, type kubernetes), or correct PPML_OPS_KUBERNETES_CONN_ID",
        ) from None

    def field(name: str) -> Any:
        return extra.get(name) or extra.get(f"extra__kubernetes__{name}") or None

    if field("disable_verify_ssl"):
        raise ConfigError(
            f"the connection {conn_id} does not verify the API server (disable_verify_ssl)",
            next_step="take that off; a private CA belongs into the kubeconfig",
        )
    context = field("cluster_context")
    if field("in_cluster"):
        return ClusterAccess(in_cluster=True)
    if text := field("kube_config"):
        folder = private_dir(private_dir(home / "airflow") / "kubeconfigs")
        path = folder / f"{conn_id.replace('/', '_')}.yaml"
        write_private(path, (text if isinstance(text, str) else json.dumps(text)).encode())
        return ClusterAccess(kubeconfig=path, context=context)
    if path_text := field("kube_config_path"):
        return ClusterAccess(kubeconfig=Path(str(path_text)), context=context)
    return ClusterAccess(context=context)

"""Where a run's storage, key service and broker are: Airflow connections where there are such, else settings.

`open_run` looks once which connections exist and records their ids, so that an installation without any asks
Airflow's database three times in a run and not in every task. What a connection says is resolved by each stage
for itself: owner workers may have a secrets backend of their own. There the settings name the connections, and
neither the recorded run nor Airflow's database decides where the owner's token goes.
"""

from collections.abc import Mapping
from typing import Literal

from ppml_ops.errors import ConfigError
from ppml_ops.keys.broker import BrokerSite
from ppml_ops.lifecycle.run import Run
from ppml_ops.settings import Settings
from ppml_ops.spark.k8s.access import ClusterAccess

Zone = Literal["owner", "orchestrator"]
STORAGE, KEY_SERVICE, BROKER, KUBERNETES = "storage", "key_service", "broker", "kubernetes"


def find_connections() -> dict[str, str]:
    """Connection ids by kind: those that settings name, and the default ones that exist."""
    settings = Settings()
    named = {
        STORAGE: settings.storage_conn_id,
        KEY_SERVICE: settings.key_service_conn_id,
        BROKER: settings.broker_conn_id,
        KUBERNETES: settings.kubernetes_conn_id,
    }
    found = {kind: conn_id or f"ppml_{kind}_default" for kind, conn_id in named.items()}
    return {kind: conn_id for kind, conn_id in found.items() if named[kind] or _exists(conn_id)}


def storage_of(connections: Mapping[str, str]) -> str | None:
    """URL or folder of the storage connection; None without one."""
    if STORAGE not in connections:
        return None
    from ppml_ops.airflow.hooks.storage import PpmlStorageHook

    return PpmlStorageHook(connections[STORAGE]).get_conn()


def storage_in_use() -> str | None:
    """Storage of a run that is opened now, by the connection or the setting; None for the default one."""
    return storage_of(find_connections()) or Settings().storage


def key_service_of(connections: Mapping[str, str]) -> str:
    """URI of the key service, by its connection or the setting."""
    settings = Settings()
    conn_id = settings.key_service_conn_id or connections.get(KEY_SERVICE)
    if conn_id is None:
        return settings.key_service
    from ppml_ops.airflow.hooks.key_service import PpmlKeyServiceHook

    return PpmlKeyServiceHook(conn_id).get_conn()


def broker_of(connections: Mapping[str, str], zone: Zone) -> BrokerSite | None:
    """The broker of the connection, None without one. Only the owner's zone resolves the owner's token."""
    conn_id = Settings().broker_conn_id or connections.get(BROKER)
    if conn_id is None:
        return None
    from ppml_ops.airflow.hooks.broker import PpmlBrokerHook

    return PpmlBrokerHook(conn_id).get_conn(owner=zone == "owner")


def cluster_of(run: Run, zone: Zone) -> ClusterAccess | None:
    """The cluster of the connection, None without one. Runs on this host and the owner's zone need none."""
    conn_id = Settings().kubernetes_conn_id or run.connections.get(KUBERNETES)
    if conn_id is None or zone == "owner" or run.profile.launcher != "kubernetes":
        return None
    from ppml_ops.airflow.hooks.cluster import cluster_access

    return cluster_access(conn_id, run.home)


def _exists(conn_id: str) -> bool:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return False
    except Exception as error:
        raise ConfigError(
            f"Airflow can't say whether there is a connection {conn_id}: {type(error).__name__}",
            next_step="look at its secrets backend and API server",
        ) from error
    return True

"""Connection type `ppml_key_service`: the URI of the service that makes and wraps primary keys."""

from typing import ClassVar

from ppml_ops.airflow.hooks.reference import ReferenceHook
from ppml_ops.airflow.site import broker_of, find_connections
from ppml_ops.errors import ConfigError
from ppml_ops.keys.service import key_service_for
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.settings import Settings


class PpmlKeyServiceHook(ReferenceHook):
    """The key service."""

    default_conn_name: ClassVar[str] = "ppml_key_service_default"
    conn_type: ClassVar[str] = "ppml_key_service"
    hook_name: ClassVar[str] = "PPML key service"

    def get_conn(self) -> str:
        """The URI; ends in ":" or "/", so that a key's name can follow. Raises ConfigError."""
        uri = self.required("uri")
        if not uri.endswith((":", "/")):
            raise ConfigError(
                f"{uri[:80]!r} in the connection {self.conn_id} names a key, not a key service",
                next_step="leave the key's name out, for example broker: or local:/folder/",
            )
        return uri

    def check(self) -> str:
        """The service answers and lists its keys; its credential where it resolves."""
        uri, home = self.get_conn(), Settings().home
        if uri != "broker:":
            return f"{uri} answers: {len(key_service_for(uri, home=home).list())} primary keys."
        connections = find_connections()
        info = broker_client(home, broker_of(connections, "orchestrator")).info()
        proven = f"The broker answers under its CA (trust domain {info.trust_domain[:16]}…)."
        try:
            keys = key_service_for(uri, home=home, broker=broker_of(connections, "owner")).list()
        except ConfigError as error:
            return f"{proven} The owner's credential can't be tested here: {error.what}."
        return f"{proven} The owner's credential is accepted: {len(keys)} primary keys."

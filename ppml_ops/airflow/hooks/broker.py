"""Connection type `ppml_broker`: address and CA of a key broker, and where owner workers find the token."""

from pathlib import Path
from typing import ClassVar

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError
from pydantic import SecretStr, ValidationError

from ppml_ops.airflow.hooks.reference import ReferenceHook
from ppml_ops.broker.client import BrokerClient
from ppml_ops.errors import ConfigError
from ppml_ops.keys.broker import BrokerKeyService, BrokerSite


class PpmlBrokerHook(ReferenceHook):
    """The key broker."""

    default_conn_name: ClassVar[str] = "ppml_broker_default"
    conn_type: ClassVar[str] = "ppml_broker"
    hook_name: ClassVar[str] = "PPML key broker"

    def get_conn(self, *, owner: bool = False) -> BrokerSite:
        """Where the broker is.

        Args:
            owner: with the reference to the owner's token; a variable is resolved.

        Raises:
            ConfigError: a field is missing or makes no sense, or the variable does not resolve here.
        """
        connection, ca = self.connection(), Path(self.required("ca_file"))
        host = f"[{connection.host}]" if ":" in (connection.host or "") else connection.host
        try:
            return BrokerSite(
                url=f"https://{host}:{connection.port}", ca=ca, token=self._token() if owner else None
            )
        except ValidationError:
            raise ConfigError(
                f"host and port of the connection {self.conn_id} are not the address of a broker",
                next_step="write its host name and port, without https://",
            ) from None

    def _token(self) -> Path | SecretStr | None:
        name, path = self.field("credential_variable"), self.field("credential_file")
        if not name:
            return Path(path) if path else None
        try:
            text = str(Variable.get(name)).strip()
        except (AirflowRuntimeError, KeyError):
            text = ""
        if not text:
            raise ConfigError(
                f"the Airflow variable {name} of the connection {self.conn_id} does not resolve here",
                next_step="give the secrets backend of the owner workers this variable",
            )
        return SecretStr(text)

    def check(self) -> str:
        """TLS under the pinned CA and the broker's answer; the owner's token where it resolves."""
        site = self.get_conn()
        info = BrokerClient(site.url, site.ca).info()
        domain = f"trust domain {info.trust_domain[:16]}…{', SIMULATED' if info.simulated else ''}"
        proven = f"TLS under {site.ca} and the broker's answer are proven ({domain})."
        try:
            site = self.get_conn(owner=True)
            site.owner_token()
        except ConfigError as error:
            return f"{proven} The owner's token can't be tested here: {error.what}."
        keys = BrokerKeyService(site.ca.parent, site=site).list()
        return f"{proven} The owner's token is accepted: {len(keys)} primary keys."

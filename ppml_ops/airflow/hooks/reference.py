"""What the three connection types share: their fields, and a test that never shows a secret."""

from typing import Any, ClassVar

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from ppml_ops.errors import ConfigError, PpmlError

_MAX_FIELD = 1000


class ReferenceHook(BaseHook):
    """Base of our hooks. Subclasses name their connection type and do `check`.

    Args:
        conn_id: id of the connection; default: `ppml_<kind>_default`.
    """

    conn_name_attr: ClassVar[str] = "conn_id"
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]

    def __init__(self, conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id or self.default_conn_name

    def connection(self) -> Connection:
        """The connection.

        Raises:
            ConfigError: there is none, or it holds a password or a login.
        """
        try:
            connection = self.get_connection(self.conn_id)
        except AirflowNotFoundException:
            raise ConfigError(
                f"there is no Airflow connection {self.conn_id}",
                next_step="create it (Admin, Connections), or correct the setting that names it",
            ) from None
        if connection.password or connection.login:
            raise ConfigError(
                f"the connection {self.conn_id} holds a login or password, and Airflow's database is no place "
                "for the owner's secrets",
                next_step="remove them; name a file or variable that only owner workers resolve",
            )
        return connection

    def field(self, name: str) -> str:
        """A field of our own in the connection; "" when it is not filled in. Raises as `connection`."""
        value = self.connection().extra_dejson.get(name)
        return str(value).strip()[:_MAX_FIELD] if value else ""

    def required(self, name: str) -> str:
        """A field that must be filled in. Raises ConfigError."""
        value = self.field(name)
        if not value:
            raise ConfigError(f"the connection {self.conn_id} has no {name}", next_step=f"fill in {name}")
        return value

    def check(self) -> str:
        """Prove that the connection works; what was proven, and what could not be tried here."""
        raise NotImplementedError

    def test_connection(self) -> tuple[bool, str]:
        """Airflow's Test button."""
        try:
            return True, self.check()
        except PpmlError as error:
            return False, f"{error.what}. For {error.who}: {error.next_step}"

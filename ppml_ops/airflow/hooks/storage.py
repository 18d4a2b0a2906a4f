"""Connection type `ppml_storage`: the folder or URL of all sealed data sets."""

from typing import ClassVar

from ppml_ops.airflow.hooks.reference import ReferenceHook
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError


class PpmlStorageHook(ReferenceHook):
    """The storage of sealed data sets. Its driver takes credentials from where it always does."""

    default_conn_name: ClassVar[str] = "ppml_storage_default"
    conn_type: ClassVar[str] = "ppml_storage"
    hook_name: ClassVar[str] = "PPML storage of sealed data sets"

    def get_conn(self) -> str:
        """The folder or URL. Raises ConfigError for a relative folder: workers have other working folders."""
        url = self.required("url").rstrip("/")
        if "://" not in url and not url.startswith("/"):
            raise ConfigError(
                f"{url[:80]!r} in the connection {self.conn_id} is a relative folder",
                next_step="give an absolute folder or a URL",
            )
        return url

    def check(self) -> str:
        """The folder can be listed from here, and holds so many data sets. Nothing is written."""
        url = self.get_conn()
        folder = Folder(url)
        if folder.is_local and not folder.local().is_dir():
            raise ConfigError(
                f"there is no folder {url} on this machine", next_step="make it, or correct the URL"
            )
        try:
            names = [name for name in folder.names() if not name.startswith((".", "_"))]
        except Exception as error:
            raise ConfigError(
                f"{url} can't be listed: {type(error).__name__}",
                next_step="check the URL and the credentials that its driver finds on this machine",
            ) from error
        return f"{url} can be listed: {len(names)} data sets. Writing was not tried."

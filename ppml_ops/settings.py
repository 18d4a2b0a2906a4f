"""All settings in one model: flag, environment `PPML_OPS_*`, `ppml-ops.toml`, default, in this order.

Only the edges (CLI, Airflow operators) read settings; the core takes paths and values as arguments.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_FILE = "ppml-ops.toml"


def _default_home() -> Path:
    """`.ppml` in a checkout of the project, else a folder of the user's own; always absolute."""
    here = Path.cwd()
    if (here / "ppml_ops").is_dir() and (here / "dags").is_dir():
        return here / ".ppml"
    return Path.home() / ".local" / "state" / "ppml-ops"


class Settings(BaseSettings):
    """Where state lies and which defaults hold."""

    model_config = SettingsConfigDict(
        env_prefix="PPML_OPS_", toml_file=CONFIG_FILE, extra="forbid", frozen=True
    )

    home: Path = Field(default_factory=_default_home, description="State folder, mode 0700.")
    storage: str | None = Field(None, description="Folder or URL of sealed data sets; default: in `home`.")
    key_service: str = Field("broker:", description="Where new primary keys are made: `broker:` or `local:`.")
    broker_host: str = Field(
        "127.0.0.1",
        description="Address on which the broker listens; pods of a cluster need one that they can reach.",
    )
    kubernetes_conn_id: str | None = Field(
        None,
        description="Airflow connection of the cluster; default: `ppml_kubernetes_default` if it exists, else "
        "what KUBECONFIG, ~/.kube/config or the pod's service account say.",
    )
    broker_conn_id: str | None = Field(
        None, description="Airflow connection of the broker; default: `ppml_broker_default` if it exists."
    )
    key_service_conn_id: str | None = Field(
        None,
        description="Airflow connection of the key service; default: `ppml_key_service_default` if it exists.",
    )
    storage_conn_id: str | None = Field(
        None, description="Airflow connection of the storage; default: `ppml_storage_default` if it exists."
    )
    profile: str = Field("local", description="Platform profile of runs that name none.")
    retry_delay: float = Field(30.0, ge=0, description="Seconds before a transient failure is retried.")
    pipelines_folder: Path | None = Field(
        None, description="Folder of pipeline specifications; default: `pipelines` beside the DAG folder."
    )
    dags_folder: Path | None = Field(None, description="DAG folder of `run`; default: the checkout's `dags`.")

    def model_post_init(self, _context: object) -> None:
        """Make the state folder absolute: services and tasks run in other working folders."""
        object.__setattr__(self, "home", self.home.expanduser().absolute())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the TOML file of the working folder."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

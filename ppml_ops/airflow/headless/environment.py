"""Settings of the Airflow that `ppml-ops` brings up itself. Call before Airflow is imported."""

import os
import sys
from pathlib import Path

from ppml_ops.files import private_dir

_BACKEND = "ppml_ops.airflow.xcom.GuardedXCom"


def configure(home: Path, dags_folder: Path, plugins_folder: Path | None = None) -> Path:
    """Point Airflow at `<home>/airflow` and a database there; returns that folder.

    Other Airflow settings that the user has made stay.

    Files are made with mode 0600: Airflow's own defaults leave database and logs readable to all.

    Raises:
        RuntimeError: Airflow was imported before, so its settings are fixed already.
    """
    if "airflow" in sys.modules:
        raise RuntimeError("Airflow must be configured before it is imported")
    os.umask(0o077)
    airflow_home = private_dir(home / "airflow")
    os.environ |= {"PPML_OPS_HOME": str(home), "AIRFLOW_HOME": str(airflow_home)}
    for name in [name for name in os.environ if name.startswith("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")]:
        del os.environ[name]  # runs are driven in a database of our own, never in one that matters
    defaults = {
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",  # only the API server of `ui` looks at it
        "AIRFLOW__CORE__DAGS_FOLDER": dags_folder,
        "AIRFLOW__CORE__PLUGINS_FOLDER": plugins_folder or airflow_home / "plugins",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__XCOM_BACKEND": _BACKEND,
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "PYTHONWARNINGS": "ignore",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, str(value))
    return Path(os.environ["AIRFLOW_HOME"])

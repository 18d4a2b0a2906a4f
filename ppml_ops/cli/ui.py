"""`ppml-ops ui`: a whole Airflow on loopback with our plugin, until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import requests
import typer

from ppml_ops.airflow.headless.driving import scheduler
from ppml_ops.cli.options import console, home, require_airflow
from ppml_ops.cli.run import dags_folder
from ppml_ops.cli.services import ensure_services, services_kept
from ppml_ops.cli.shipped_files import shipped_folder
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir
from ppml_ops.spark.process import end_with_parent

_READY_SECONDS = 180.0
_STOP_SECONDS = 30.0
_PASSWORDS = "simple_auth_manager_passwords.json.generated"


def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 picks a free one.")] = 8080) -> None:
    """Start Airflow's web UI, scheduler and the services that runs need; Ctrl-C ends Airflow."""
    require_airflow()
    state = home()
    chosen = free_port(port)
    with scheduler(state):
        _serve(state, chosen)


def _serve(state: Path, chosen: int) -> None:
    from ppml_ops.airflow.headless.environment import configure

    ensure_services(state)
    airflow_home = configure(state, dags_folder(), shipped_folder("plugins"))
    url = f"http://127.0.0.1:{chosen}"
    # Workers call the API server at base_url, so both must name the same port.
    environment = os.environ | {
        "AIRFLOW__API__PORT": str(chosen),
        "AIRFLOW__API__BASE_URL": url,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # it calls `airflow`
    }
    log = private_dir(state / "logs") / "ui.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_in_the_child,
        )
    out = console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # end like Ctrl-C, with everything that was started
    try:
        with out.status("starting Airflow"):
            _wait_until_healthy(url, process, log)
        out.print(f"Airflow  {url}")
        out.print(f"log in   user admin, password in {airflow_home / _PASSWORDS}", soft_wrap=True)
        out.print(f"log      {log}\nCtrl-C ends Airflow; the key broker goes on (`ppml-ops services stop`).")
        with services_kept(state):
            process.wait()
        raise ConfigError(f"Airflow ended by itself (exit code {process.returncode})", next_step=f"read {log}")
    except KeyboardInterrupt:
        out.print("ending Airflow")
    finally:
        _stop(process)


def _in_the_child() -> None:
    """SIGINT is what ends `airflow standalone` with all its parts: by Ctrl-C, and when we are killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_with_parent(signal.SIGINT)


def free_port(wanted: int) -> int:
    """`wanted` if it is free on 127.0.0.1, or a free one for 0. Raises ConfigError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise ConfigError(
                f"port {wanted} can't be used: {error.strerror}",
                next_step="give another one: --port 0 picks a free one",
            ) from None
        return int(probe.getsockname()[1])


def _wait_until_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not _healthy(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ConfigError("Airflow did not start", next_step=f"read {log}")
        time.sleep(0.5)


def _healthy(url: str) -> bool:
    try:
        health: dict[str, dict[str, Any]] = requests.get(f"{url}/api/v2/monitor/health", timeout=5).json()
    except (requests.RequestException, ValueError):
        return False
    return all(part.get("status") == "healthy" for part in health.values())


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGINT lets `airflow standalone` end all its parts; SIGTERM would leave them behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

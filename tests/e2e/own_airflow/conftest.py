"""An Airflow as docs/install-airflow.md sets it up: wheels, PostgreSQL, four processes, no checkout."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PROJECT
from tests.support.airflow_rest import Rest, healthy, password_of, wait_until

PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")


@dataclass
class Site:
    """Folders, environment and processes of that Airflow. Its user may not write to the virtual environment."""

    base: Path
    port: int
    environment: dict[str, str]
    user: dict[str, Any]
    parts: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def venv(self) -> Path:
        """The virtual environment, root's."""
        return self.base / "venv"

    @property
    def url(self) -> str:
        """Address of the web UI."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, *arguments: str, seconds: float = 120, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the virtual environment as Airflow's user."""
        return subprocess.run(
            [self.venv / "bin" / arguments[0], *arguments[1:]], cwd=self.base / "home",
            env=self.environment | env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=seconds, check=False, **self.user,
        )  # fmt: skip

    def start(self, *parts: str) -> None:
        """Start parts of Airflow; each logs to a file of its own."""
        for part in parts:
            with (self.base / "home" / f"{part}.log").open("ab") as log:
                self.parts[part] = subprocess.Popen(
                    [self.venv / "bin" / "airflow", part], cwd=self.base / "home", env=self.environment,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self.user,
                )  # fmt: skip

    def stop(self) -> None:
        """End them in the order of a careful user."""
        for part in ("scheduler", "dag-processor", "triggerer", "api-server"):
            process = self.parts.pop(part, None)
            if process is not None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def rest(self) -> Rest:
        """Logged in as the administrator."""
        return Rest(self.url, "admin", password_of(self.base / "home" / "airflow"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> dict[str, Any]:
    """Arguments for subprocess: PostgreSQL does not run as root, and root may write everywhere."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def python_for(user: dict[str, Any]) -> str:
    """A Python that this user may run; root's own one often lies in root's home."""
    import sys

    for candidate in ("/usr/bin/python3", sys.executable):
        check = "import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
        try:
            done = subprocess.run([candidate, "-c", check], cwd="/", capture_output=True, check=False, **user)
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip("no Python 3.11 to 3.13 that an unprivileged user may run")


def postgres_programs() -> Path:
    """Folder of initdb and pg_ctl; Debian keeps them away from PATH. Installed where apt and root are."""
    for attempt in range(2):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
            Path(path) for path in [shutil.which("initdb")] if path
        ]
        if found:
            return found[-1].resolve().parent
        if attempt == 0 and os.geteuid() == 0 and shutil.which("apt-get"):
            subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"],
                           capture_output=True, check=False)  # fmt: skip
    pytest.skip("no PostgreSQL here, and it can't be installed")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a database in a PostgreSQL server of its own."""
    programs, user, port = postgres_programs(), unprivileged(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="ppml-pg-"))
    if user:
        shutil.chown(folder, user["user"], user["group"])
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [programs / arguments[0], *arguments[1:]], cwd=folder, env=environment, check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **user,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "airflow", "-A", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "airflow")
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/airflow"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def site(postgres: str) -> Iterator[Site]:
    """Wheels installed, settings made, database migrated, DAG in place, services started, Airflow healthy."""
    base = Path(tempfile.mkdtemp(prefix="ppml-own-"))
    base.chmod(0o755)
    user, port, home = unprivileged(), free_port(), base / "home"
    url = f"http://127.0.0.1:{port}"
    for folder in (home, home / "airflow", home / "dags", home / "plugins"):
        folder.mkdir()
        if user:
            shutil.chown(folder, user["user"], user["group"])
    site = Site(base, port, {
        "PATH": f"{base}/venv/bin:/usr/bin:/bin",
        "HOME": str(home),
        "PPML_OPS_HOME": f"{home}/ppml",
        "PPML_OPS_RETRY_DELAY": "1",
        "AIRFLOW_HOME": f"{home}/airflow",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": f"{home}/plugins",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__XCOM_BACKEND": "ppml_ops.airflow.xcom.GuardedXCom",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    }, user)  # fmt: skip
    try:
        _install(site)
        for arguments in (
            ("airflow", "db", "migrate"),
            ("ppml-ops", "dags", "install", f"{home}/dags", "--plugins", f"{home}/plugins"),
            ("ppml-ops", "services", "start"),
        ):
            done = site.command(*arguments)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        site.start(*PARTS)
        wait_until(lambda: healthy(url), 180, "Airflow is healthy")
        yield site
    finally:
        site.stop()
        if (base / "venv/bin/ppml-ops").exists():
            site.command("ppml-ops", "services", "stop")
        shutil.rmtree(base, ignore_errors=True)


def _install(site: Site) -> None:
    """`pip install` of both wheels beside Airflow, every version as locked."""
    uv = str(PROJECT / ".venv/bin/uv")
    constraints = site.base / "constraints.txt"
    locked = (PROJECT / "requirements.txt").read_text().splitlines()
    constraints.write_text("\n".join(line.removesuffix(" \\") for line in locked if "==" in line))
    for source in (PROJECT, PROJECT / "sim"):
        subprocess.run([uv, "build", "-q", "--wheel", "-o", site.base / "dist", source], check=True)
    wheels = {path.name.partition("-")[0]: path for path in (site.base / "dist").glob("*.whl")}
    subprocess.run([uv, "venv", "-q", "--python", python_for(site.user), site.venv], check=True)
    subprocess.run(
        [uv, "pip", "install", "-q", "--python", site.venv / "bin/python", "-c", constraints,
         f"{wheels['ppml_ops']}[airflow]", str(wheels["ppml_sim"]), "psycopg2-binary", "asyncpg"],
        check=True,
    )  # fmt: skip


def receipt_of(site: Site, key: str) -> dict[str, Any]:
    """What `ppml-ops receipt show` says."""
    done = site.command("ppml-ops", "receipt", "show", key, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found

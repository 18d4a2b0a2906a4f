"""Start the services that a run on this machine needs, or attach to running ones.

They are services, never children of a task: each leads a session of its own and outlives the command that
started it. `<service> serve` writes its endpoint when it is ready and refuses a second instance.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ppml_ops.errors import ConfigError, PpmlError, TransientError
from ppml_ops.files import file_lock, private_dir
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.spark.jvm.build import build_jar
from ppml_ops.spark.platform_client import PlatformClient, platform_socket
from ppml_ops.spark.process import ProcessRecord

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.1
_WATCH_SECONDS = 5.0


def ensure_services(home: Path) -> None:
    """Simulated platform and key broker answer for `home`, and the Spark jar is there, when this returns.

    Raises:
        ConfigError: a service does not start; names its log. There is no Java, or no place for the jar.
    """
    private_dir(home)
    build_jar()  # a wheel brings no jar: it is compiled once for each environment
    with file_lock(home / "services.lock"):
        _ensure(
            "simulated TDX platform", home, "sim.log", ["-m", "ppml_sim", "serve", "--foreground"], _platform
        )
        _ensure("key broker", home, "broker.log", ["-m", "ppml_ops.cli", "broker", "serve"], _broker)


@contextmanager
def services_kept(home: Path) -> Iterator[None]:
    """Both services answer when the block begins, and are started again when one dies inside it.

    A nightly run must not fail in the morning hours because a broker was killed in the evening: tasks that
    meet a gap retry, and whoever drives them sees to it that there is something to retry against.

    Raises:
        PpmlError: as `ensure_services`, at the beginning.
    """
    ensure_services(home)
    over = threading.Event()

    def keep() -> None:
        while not over.wait(_WATCH_SECONDS):
            with suppress(PpmlError, OSError):  # the tasks' own errors name what is wrong
                ensure_services(home)

    watcher = threading.Thread(target=keep, name="services", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def stop_services(home: Path) -> list[str]:
    """End both services; returns the names of those that ran."""
    ended = []
    for name, endpoint in (("key broker", home / "broker"), ("simulated TDX platform", home / "sim")):
        try:
            service = ProcessRecord.of(int(json.loads((endpoint / "endpoint.json").read_bytes())["pid"]))
            if b"ppml" not in Path(f"/proc/{service.pid}/cmdline").read_bytes():
                continue  # left behind by a crash, and the number is somebody else's by now
            os.kill(service.pid, signal.SIGTERM)
        except (OSError, ValueError, KeyError):
            continue
        deadline = time.monotonic() + _READY_SECONDS
        while service.alive() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        ended.append(name)
    return ended


def _platform(home: Path) -> None:
    PlatformClient(platform_socket(home)).status()


def _broker(home: Path) -> None:
    broker_client(home).info()


def _answers(check: Callable[[Path], None], home: Path) -> bool:
    try:
        check(home)
    except PpmlError:
        return False
    return True


def _ensure(name: str, home: Path, log_name: str, arguments: list[str], check: Callable[[Path], None]) -> None:
    if _answers(check, home):
        return
    log = private_dir(home / "logs") / log_name
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=home,
            env=os.environ | {"PPML_OPS_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers(check, home):
        if process.poll() is not None:
            raise ConfigError(
                f"the {name} did not start (exit code {process.returncode})", next_step=f"read {log}"
            )
        if time.monotonic() > deadline:
            process.terminate()
            raise TransientError(
                f"the {name} is not ready after {_READY_SECONDS:.0f} s", next_step=f"read {log}"
            )
        time.sleep(_POLL_SECONDS)

"""Start, find and stop the platform service of a home folder; at most one runs."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from ppml_ops.attestation.unix_socket import request_line
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.files import private_dir, write_private
from ppml_sim.platform import Platform

START_SECONDS = 30.0
_ASK_SECONDS = 5.0
_CHECK_SECONDS = 60.0
_MAX_ANSWER = 64 * 1024


def serve(
    home: Path,
    *,
    sockets: Path | None = None,
    seed_file: Path | None = None,
    everyone: bool = False,
    stop: Event | None = None,
) -> None:
    """Run the platform until SIGTERM, SIGINT or `stop`; for the other arguments see `Platform`.

    Raises:
        ConfigError: another instance runs for this home, or the seed file is none.
    """
    stop = stop or _stop_on_signals()
    with _only_instance(home):
        platform = Platform(home, sockets=sockets, seed_file=seed_file, everyone=everyone)
        endpoint = home / "sim" / "endpoint.json"
        try:
            write_private(endpoint, canonical_json({"socket": str(platform.socket), "pid": os.getpid()}))
            while not stop.wait(_CHECK_SECONDS):
                platform.refresh()
        finally:
            endpoint.unlink(missing_ok=True)
            platform.close()


def status(home: Path) -> dict[str, Any] | None:
    """What the running service says about itself; None when none runs."""
    try:
        line = request_line(
            home / "sim" / "platform.sock", b'{"op":"status"}', limit=_MAX_ANSWER, timeout=_ASK_SECONDS
        )
        answer = json.loads(line)
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) and answer.get("ok") is True else None


def start(home: Path) -> dict[str, Any]:
    """The status of the running service, which is started in the background when none runs.

    Raises:
        TransientError: it did not answer within `START_SECONDS`; its log says why.
    """
    found = status(home)
    if found is not None:
        return found
    log = private_dir(home / "sim") / "platform.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "ppml_sim", "serve", "--home", str(home), "--foreground"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = status(home)
        if found is not None:
            return found
        if child.poll() is not None and status(home) is None:
            break
        time.sleep(0.05)
    raise TransientError(
        "the simulated platform did not start", next_step="read sim/platform.log in the home folder"
    )


def _stop_on_signals() -> Event:
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _only_instance(home: Path) -> Iterator[None]:
    descriptor = os.open(private_dir(home / "sim") / "platform.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                "a simulated platform runs already for this home", next_step="use it, see `ppml-sim status`"
            ) from error
        yield
    finally:
        os.close(descriptor)

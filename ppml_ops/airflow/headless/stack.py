"""An API server for tasks and a scheduler, for as long as somebody holds our standard input open.

    python -m ppml_ops.airflow.headless.stack <port> [<DAG to pause afterwards>]

Run by `ppml-ops backfill --parallel`, with Airflow's settings in the environment and airflow.cfg written.
Prints "ready" when both run. A line on standard input ends both: "end" lets them shut down, "kill" kills them
with every task and Spark job below them, so that no task reports a failure that is none. When standard input
ends without a line, the caller was killed: then it kills too, and pauses the DAG in the caller's place.
"""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

import requests

from ppml_ops.spark.process import adopt_orphans, descendants, end_descendants, signal_all

_READY_SECONDS = 180.0
_GRACE_SECONDS = 10.0
_POLL = 0.2
#: What the caller says.
END, KILL = b"end", b"kill"


def main(port: int, pause: str | None) -> int:
    """Serve until standard input ends; 0 then, 1 when a part ended by itself."""
    adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    order = b""
    os.environ["AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE"] = "False"  # no triggerer runs here
    try:
        server = _start("api-server", "--apps", "execution", "--port", str(port), "--workers", "1")
        _wait_until_healthy(port, server)
        scheduler = _start("scheduler", "--skip-serve-logs")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not select.select([0], [], [], _POLL)[0]:
            for part in (server, scheduler):
                if part.poll() is not None:
                    sys.stderr.write(f"{part.args!r} ended by itself: {part.returncode}\n")
                    return 1
        order = os.read(0, 16).strip()
        return 0
    finally:
        _stop(_GRACE_SECONDS if order == END else 0.0)
        if pause is not None and not order:
            _start("dags", "pause", "--yes", pause).wait()


def _start(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "airflow", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
    )


def _wait_until_healthy(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(requests.RequestException):
            if requests.get(f"http://127.0.0.1:{port}/execution/health", timeout=5).ok:
                return
        time.sleep(_POLL)
    sys.stderr.write("the API server did not start\n")
    sys.exit(1)


def _stop(grace: float) -> None:
    """TERM and `grace` seconds to shut down, then KILL until nothing is left; without grace KILL at once."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not grace:
        signal_all(descendants(os.getpid()), signal.SIGKILL)
    end_descendants(grace)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))

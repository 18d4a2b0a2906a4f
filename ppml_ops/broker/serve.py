"""Run a broker: one per state folder, TLS only, endpoint.json written when it is ready."""

import asyncio
import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from ppml_ops.attestation.collateral import CollateralStore
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.broker.app import create_app
from ppml_ops.broker.http_owner import owner_token
from ppml_ops.broker.pki import LOCAL_NAMES, tls_files
from ppml_ops.broker.state import BrokerState
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, PpmlError
from ppml_ops.files import private_dir, write_private

_LOG = logging.getLogger("ppml_ops.broker")
ENDPOINT = "endpoint.json"
_PORT = "port"
_RENEWAL_CHECK_SECONDS = 6 * 3600
_MAX_CONNECTIONS = 256
_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to


def serve(
    home: Path,
    root_der_path: Path,
    collateral: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    names: Sequence[str] = (),
    local_keys: Path | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`; endpoint.json exists while it serves.

    Args:
        home: state folder; the broker's own lies in `<home>/broker`.
        root_der_path: the attestation root (DER); it fixes the trust domain of a new store.
        collateral: file or folder of collateral, read at each appraisal.
        host: address to listen on.
        port: 0 is the one it had last, because jobs that run know no other, or a free one when that is taken.
        names: further DNS names or addresses for the certificate; the first one goes into the URL when
            `host` is a wildcard.
        local_keys: folder of the `local:` key service, if tickets may carry keys wrapped by it.
        stop: ends the broker from another thread.

    Raises:
        ConfigError: another broker serves this home, the root is of another trust domain, the address can't
            be listened on, or a file has loose modes.
        IntegrityError: the audit log or a key is damaged.
    """
    folder = home / "broker"
    if not folder.exists():
        private_dir(folder)
    with _only_instance(folder):
        state = BrokerState.open(folder, _domain(root_der_path), _clock, local_keys=local_keys)
        try:
            app = create_app(
                state,
                find_collateral=CollateralStore(collateral).find,
                token=owner_token(folder / "owner.token"),
                clock=_clock,
            )
            own = [host] if host not in (*_ANY, *LOCAL_NAMES) else []
            certified = [*own, *names]
            with _listen(host, port or _last_port(folder, host)) as listener:
                write_private(folder / _PORT, str(listener.getsockname()[1]).encode())
                shown = certified[0] if certified else "127.0.0.1"
                url = f"https://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"
                _Server(app, folder, url, certified, stop).run(sockets=[listener])
        finally:
            state.audit.close()


def _clock() -> int:
    return int(time.time())


def _domain(path: Path) -> TrustDomain:
    try:
        return TrustDomain(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the attestation root {path} can't be read: {error.strerror}",
            next_step="give the root.der of the trust domain (a simulated platform writes sim/root.der)",
        ) from error


@contextmanager
def _only_instance(folder: Path) -> Iterator[None]:
    """Hold the folder's lock without waiting; the kernel gives it back when the process ends."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another key broker serves {folder}",
                next_step=f"use it (see {folder / ENDPOINT}), or stop it first",
            ) from None
        yield
    finally:
        os.close(descriptor)


def _last_port(folder: Path, host: str) -> int:
    """The port of the last time, while nobody else has it; else 0."""
    try:
        port = int((folder / _PORT).read_bytes())
        with _listen(host, port):
            return port
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, ConfigError) as error:
        _LOG.warning("another port than the last time; jobs that run don't know it: %s", error)
        return 0


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket; the connection backlog begins when the server starts."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"the broker can't listen on {host} port {port}: {error}",
                next_step="give a free port (0 picks one) and an address of this machine",
            ) from error
        yield listener
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn that publishes its endpoint when ready, renews its certificate, and ends on SIGTERM with 0."""

    def __init__(
        self, app: object, folder: Path, url: str, names: Sequence[str], stop: threading.Event | None
    ) -> None:
        self._folder = folder
        self._url = url
        self._names = names
        self._stop = stop
        self._files = tls_files(folder, names, datetime.now(UTC))
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]  # FastAPI is an ASGI application
                log_config=None,
                access_log=False,
                server_header=False,
                ssl_certfile=str(self._files.server),
                limit_concurrency=_MAX_CONNECTIONS,
                timeout_keep_alive=15,
                timeout_graceful_shutdown=5,
                h11_max_incomplete_event_size=32 * 1024,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell where."""
        await super().startup(sockets)
        if self.should_exit:
            return
        endpoint = {"url": self._url, "ca": str(self._files.ca.absolute()), "pid": os.getpid()}
        write_private(self._folder / ENDPOINT, canonical_json(endpoint))
        self._watcher = asyncio.create_task(self._watch())
        _LOG.info("serving %s", self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the endpoint away first, so that nobody starts a handshake that would be cut."""
        with suppress(FileNotFoundError):
            (self._folder / ENDPOINT).unlink()
        self._watcher.cancel()
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        """Follow `stop`, and renew the server certificate long before it expires."""
        due = time.monotonic() + _RENEWAL_CHECK_SECONDS
        while True:
            await asyncio.sleep(0.1 if self._stop else 60)
            if self._stop and self._stop.is_set():
                self.should_exit = True
            if time.monotonic() >= due and self.config.ssl:
                due = time.monotonic() + _RENEWAL_CHECK_SECONDS
                try:
                    files = await asyncio.to_thread(tls_files, self._folder, self._names, datetime.now(UTC))
                    self.config.ssl.load_cert_chain(files.server)
                except (PpmlError, OSError) as error:
                    _LOG.error("the server certificate was not renewed: %s", error)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT without raising them again: a stopped service has ended well."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ours = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in ours}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

"""A command in a container, with bytes both ways (WebSocket, v4.channel.k8s.io).

The protocol has no half-close in every server that we meet, so what is spoken over it must carry lengths.
"""

import json
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlencode

from ppml_ops.errors import PpmlError
from ppml_ops.spark.k8s.http import CONNECT_SECONDS, PassingError, Transport
from ppml_ops.spark.k8s.kinds import kind_of
from ppml_ops.spark.k8s.refusals import PASSING, Request, refusal, shown

_STDIN, _STDOUT, _STDERR, _ERROR = 0, 1, 2, 3
_FRAME = 1 << 20
_MAX_STDERR = 4 << 10
_IDLE_SECONDS = 60.0


class StreamEndedError(OSError):
    """The command ended or the connection was cut; the text says what is known."""


class ExecStream:
    """The running command; see `open_exec`."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._buffer = bytearray()
        self._stderr = bytearray()

    def send(self, data: bytes) -> None:
        """To its stdin. Raises StreamEndedError."""
        view = memoryview(data)
        for start in range(0, len(data), _FRAME):
            self._guarded(self._socket.send_binary, b"\0" + view[start : start + _FRAME])

    def receive(self, size: int) -> bytes:
        """Exactly `size` bytes of its stdout. Raises StreamEndedError."""
        while len(self._buffer) < size:
            frame = self._guarded(self._socket.recv)
            if not frame:
                raise StreamEndedError(self._end("the connection was closed"))
            self._take(frame if isinstance(frame, bytes) else frame.encode())
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return data

    def _take(self, frame: bytes) -> None:
        match frame[0]:
            case 1:
                self._buffer += memoryview(frame)[1:]
            case 2 if len(self._stderr) < _MAX_STDERR:
                self._stderr += frame[1:_MAX_STDERR]
            case 3:
                raise StreamEndedError(self._end(_outcome(frame[1:])))

    def _guarded(self, act: Any, *arguments: Any) -> Any:
        from websocket import WebSocketException

        try:
            return act(*arguments)
        except StreamEndedError:
            raise
        except (OSError, WebSocketException) as error:
            raise StreamEndedError(self._end(f"{type(error).__name__}: {error}")) from None

    def _end(self, why: str) -> str:
        said = shown(self._stderr.decode(errors="replace")[-400:])
        return f"{shown(why, 200)}; it said: {said}" if said else shown(why, 200)

    def close(self) -> None:
        """Cut the connection; the command's stdin ends."""
        with suppress(OSError):
            self._socket.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_exec(
    transport: Transport,
    namespace: str,
    pod: str,
    container: str,
    command: Sequence[str],
    *,
    idle: float = _IDLE_SECONDS,
) -> ExecStream:
    """Start `command` in a running container.

    Args:
        idle: seconds for one send or receive without progress.

    Raises:
        ConfigError: this account may not, or there is no such container.
        TransientError: the API server or the node stays away.
    """
    query = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
    query += [("command", word) for word in command]
    path = kind_of("Pod").path(namespace, pod, "exec")
    url = f"wss{transport.host.removeprefix('https')}{path}?{urlencode(query)}"
    request = Request("create", f"pods/exec {namespace}/{pod}")

    def once() -> ExecStream:
        from websocket import WebSocketBadStatusException, WebSocketException

        try:
            return ExecStream(_connect(transport, url, idle))
        except WebSocketBadStatusException as error:
            status, body = int(error.status_code), bytes(error.resp_body or b"")
            refused: PpmlError = refusal(request, status, body)
            if status in PASSING:
                raise PassingError(refused.what, final=refused) from None
            raise refused from None
        except WebSocketException as error:
            raise PassingError(str(error)) from None

    return transport.patiently(once)


def _connect(transport: Transport, url: str, idle: float) -> Any:
    from websocket import WebSocket

    setting = transport.configuration
    tls: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED}
    for name, value in (
        ("ca_certs", setting.ssl_ca_cert),
        ("certfile", setting.cert_file),
        ("keyfile", setting.key_file),
        ("server_hostname", setting.tls_server_name),
    ):
        if value:
            tls[name] = value
    socket: Any = WebSocket(sslopt=tls, skip_utf8_validation=True, enable_multithread=False)
    credentials = [f"{name}: {value}" for name, value in transport.headers().items() if name == "authorization"]
    socket.connect(
        url,
        header=credentials,
        subprotocols=["v4.channel.k8s.io"],
        timeout=CONNECT_SECONDS * 2,
        redirect_limit=0,
        suppress_origin=True,
    )
    socket.settimeout(idle)
    return socket


def _outcome(status: bytes) -> str:
    """The `Status` that comes when the command has ended."""
    try:
        found = json.loads(status)
        return "the command ended" if found.get("status") == "Success" else str(found.get("message"))
    except (ValueError, AttributeError):
        return "the command ended"

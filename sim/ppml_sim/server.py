"""Unix stream sockets that answer one JSON line with one JSON line."""

import json
import os
import socket
import socketserver
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread

from pydantic import ValidationError

from ppml_ops.attestation.unix_socket import short_address
from ppml_ops.errors import PpmlError
from ppml_sim.peers import Peer, peer_of

MAX_LINE_BYTES = 64 * 1024
READ_SECONDS = 10.0

Answer = Callable[[bytes, Peer], Mapping[str, object]]


class LineServer:
    """A listening socket served by threads until `close`.

    Args:
        path: where it lies; the folder must be private unless `everyone`.
        answer: makes the answer to one line.
        everyone: answer all users (mode 0666), not only the one who runs this process (mode 0600).
    """

    def __init__(self, path: Path, answer: Answer, *, everyone: bool = False) -> None:
        self._path = path
        self._server = _Server(path, answer, everyone=everyone)
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and remove the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with suppress(FileNotFoundError):
            self._path.unlink()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, answer: Answer, *, everyone: bool) -> None:
        self._path = path
        self.answer = answer
        self.everyone = everyone
        super().__init__(str(path), _Handler)

    def server_bind(self) -> None:
        """Bind; a private folder (mode 0700) sees to it that nobody comes between bind and chmod."""
        with short_address(self._path) as address:
            self.socket.bind(address)
        self._path.chmod(0o666 if self.everyone else 0o600)


class _Handler(socketserver.StreamRequestHandler):
    timeout = READ_SECONDS

    def handle(self) -> None:
        """One line in, one line out; everything unexpected ends the connection."""
        assert isinstance(self.server, _Server)
        assert isinstance(self.connection, socket.socket)
        with suppress(OSError):
            line = self.rfile.readline(MAX_LINE_BYTES + 1)
            reply = _reply(self.server, line, peer_of(self.connection))
            self.wfile.write(json.dumps(reply).encode() + b"\n")


def _reply(server: _Server, line: bytes, peer: Peer) -> Mapping[str, object]:
    if not server.everyone and peer.uid != os.getuid():
        return _error("only the user who runs the platform may ask")
    if len(line) > MAX_LINE_BYTES or not line.endswith(b"\n"):
        return _error(f"a request is one line of at most {MAX_LINE_BYTES} bytes")
    try:
        return {"ok": True, **server.answer(line, peer)}
    except ValidationError:
        return _error("not a request that this socket knows")
    except PpmlError as error:
        return _error(f"{error.what} ({error.next_step})")


def _error(why: str) -> dict[str, object]:
    return {"ok": False, "error": why}

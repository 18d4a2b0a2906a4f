"""An API server that says what a test wants: real HTTPS, a CA of its own, one answer for each request."""

import json
import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ppml_ops.broker.pki import tls_files
from ppml_ops.spark.k8s.access import ClusterAccess


class Asked(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    body: Any
    authorization: str


class Api:
    """Answers in order; each is a status with a document (or headers), or None for a cut connection."""

    def __init__(self, folder: Path) -> None:
        self.answers: list[tuple[int, Any] | None] = []
        self.asked: list[Asked] = []
        (folder / "tls").mkdir(parents=True)
        files = tls_files(folder / "tls", ["127.0.0.1"], datetime.now(UTC))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.server)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._ca = files.ca
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        self._folder = folder
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def access(self, *, ca: Path | None = None, **cluster: Any) -> ClusterAccess:
        """A kubeconfig for it."""
        entry = {"server": self.url, "certificate-authority": str(ca or self._ca)} | cluster
        document = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": entry}],
            "users": [{"name": "u", "user": {"token": "token-of-mine"}}],
        }
        path = self._folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return ClusterAccess(kubeconfig=path)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                api.asked.append(Asked(self.command, self.path, body, self.headers.get("Authorization", "")))
                answer = api.answers.pop(0) if api.answers else (500, {"message": "no more answers"})
                if answer is None:
                    self.close_connection = True
                    return
                status, document = answer
                data = json.dumps(document).encode()
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815  # names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

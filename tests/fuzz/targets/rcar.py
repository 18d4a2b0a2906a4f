"""Requests to a real broker, without a socket: the protocol's routes, the public and the owner's.

The first byte chooses the route, the rest is the body, or where a route has none, a piece of its path.
"""

import asyncio
import logging
from collections.abc import MutableMapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

from joserfc import jws

from ppml_ops.broker import http_kbs, http_public
from tests.unit.broker.builders import TOKEN, World

SHM = Path("/dev/shm")
ROUTES = (
    ("POST", "/kbs/v0/auth"),
    ("POST", "/kbs/v0/attest"),
    ("GET", "/kbs/v0/resource/{}"),
    ("POST", "/ppml/v1/appraise"),
    ("GET", "/ppml/v1/releases/{}"),
    ("POST", "/ppml/v1/keys/people/wrap"),
    ("POST", "/ppml/v1/keys/people/unwrap"),
    ("POST", "/ppml/v1/keys/people/erase"),
    ("POST", "/ppml/v1/keys/people/destroy"),
    ("GET", "/ppml/v1/keys/{}"),
    ("PUT", "/ppml/v1/policies/sim-people"),
    ("PUT", "/ppml/v1/resources/a/b/c"),
    ("POST", "/ppml/v1/owners"),
    ("POST", "/ppml/v1/tickets/{}/revoke"),
    ("GET", "/{}"),
    ("GET", "/kbs/v0/resource/a/bearer/token"),
    ("GET", "/kbs/v0/resource/a/bearer/payload"),
)

# The limits would hide what is behind them; they stand again when the application is made.
with (
    patch.multiple(http_kbs, AUTH_RATE=1e9, AUTH_BURST=10**9),
    patch.multiple(http_public, APPRAISE_RATE=1e9, APPRAISE_BURST=10**9),
):
    WORLD = World(Path(mkdtemp(prefix="ppml-fuzz-", dir=SHM if SHM.is_dir() else None)) / "broker")
TICKET = WORLD.ticket(exp=2_000_000_000)
LOOP = asyncio.new_event_loop()
Headers = list[tuple[bytes, bytes]]


def _call(method: str, path: str, body: bytes, headers: Headers) -> tuple[int, Headers]:
    sent: list[MutableMapping[str, Any]] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": quote(path).encode(), "query_string": b"", "root_path": "", "scheme": "https",
        "headers": [(b"host", b"broker"), (b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 1), "server": ("broker", 443),
    }  # fmt: skip

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    app: Any = WORLD.http.app
    LOOP.run_until_complete(asyncio.wait_for(app(scope, receive, send), 10))
    return sent[0]["status"], sent[0]["headers"]


def _session() -> Headers:
    """The cookie of a fresh challenge for a good ticket."""
    WORLD.clock.now += 301  # ends the sessions before: there is room for a thousand
    body = f'{{"version":"0.4.0","tee":"tdx","extra-params":{{"job-ticket":"{TICKET}","generation":"g"}}}}'
    status, headers = _call("POST", "/kbs/v0/auth", body.encode(), [])
    assert status == 200
    cookie = next(value for name, value in headers if name == b"set-cookie")
    return [(b"cookie", cookie.split(b";")[0])]


def run(data: bytes) -> None:
    """One request; a 500 is a bug, whatever was asked."""
    if not data:
        return
    method, path = ROUTES[data[0] % len(ROUTES)]
    piece = data[1:].decode("utf-8", "replace")
    headers: Headers = [(b"authorization", f"Bearer {TOKEN}".encode())] if "/ppml/" in path else []
    if path in ("/kbs/v0/attest", "/kbs/v0/resource/{}"):
        headers = _session()
    if "/bearer/" in path:
        sent = data[1:]
        if path.endswith("payload"):  # as the broker itself would have signed it
            sent = jws.serialize_compact({"alg": "ES256"}, sent, WORLD.state.token_signing).encode()
        headers = [(b"authorization", b"Bearer " + sent)]
    logging.disable(logging.CRITICAL)
    try:
        status, _ = _call(method, path.format(piece), data[1:], headers)
    finally:
        logging.disable(logging.NOTSET)
    assert status != 500, f"{method} {path} answered 500"

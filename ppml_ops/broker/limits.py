"""Bounds on what strangers may send: body size and requests per second."""

import threading
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ppml_ops.broker.rcar.kbs_v0_4 import MAX_BODY, error_body
from ppml_ops.canonical import canonical_json


class BodyTooLargeError(Exception):
    """The request's body is longer than MAX_BODY."""


class BodyLimit:
    """ASGI layer that refuses bodies beyond MAX_BODY (413), also those without a declared length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its bytes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or len(declared) > 9 or int(declared) > MAX_BODY:
            await _refuse(send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY:
                raise BodyTooLargeError
            return message

        try:
            await self._app(scope, counted, send)
        except BodyTooLargeError:
            # Bodies are read before anything is answered, so the response has not begun.
            await _refuse(send)


async def _refuse(send: Send) -> None:
    body = canonical_json(error_body("RequestTooLarge", f"a request has at most {MAX_BODY} bytes"))
    headers: list[Any] = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class RateLimit:
    """Token bucket for one group of routes.

    Args:
        rate: requests per second in the long run.
        burst: requests at once.
    """

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._at = clock()

    def allow(self) -> bool:
        """Whether one more request may be served now."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

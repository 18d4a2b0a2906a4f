"""Outermost layer: an unforeseen error becomes a plain 500, and its text goes nowhere.

Texts and tracebacks of such errors could quote a request, which may hold a key; class and place are enough to
find the bug. (The framework's own handler answers too, but then hands the error to the server's log.)
"""

import logging
import traceback
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOG = logging.getLogger("ppml_ops.broker")


class Containment:
    """ASGI layer around everything.

    Args:
        app: what may fail.
        reply: the 500 response for a request and the class name of the error.
    """

    def __init__(self, app: ASGIApp, reply: Callable[[Request, str], Response]) -> None:
        self._app = app
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - this layer is what contains them
            place = traceback.extract_tb(error.__traceback__)[-1]
            name = type(error).__name__
            _LOG.error("bug: %s at %s:%s in %s", name, place.filename, place.lineno, place.name)
            if not started:
                await self._reply(Request(scope), name)(scope, receive, send)

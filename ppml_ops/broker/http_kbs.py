"""RCAR routes under /kbs/v0. Errors have the KBS body; 401 for nearly everything, as the protocol says."""

import logging
from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ppml_ops.broker.grants import Grants
from ppml_ops.broker.handshake import Handshake
from ppml_ops.broker.http_body import Body, parse
from ppml_ops.broker.limits import RateLimit
from ppml_ops.broker.rcar import kbs_v0_4 as kbs
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.sessions import LIFETIME_SECONDS
from ppml_ops.errors import PpmlError

_LOG = logging.getLogger("ppml_ops.broker")
_Result = TypeVar("_Result")
AUTH_RATE, AUTH_BURST = 100.0, 200


def kbs_error(error: RcarError) -> JSONResponse:
    """`error` in the KBS shape; logged, because the owner will be asked why."""
    _LOG.warning("refused (%s): %s", error.name, error.detail)
    return JSONResponse(kbs.error_body(error.name, error.detail), status_code=error.status)


def kbs_router(handshake: Handshake, grants: Grants) -> APIRouter:
    """Routes of the handshake and of resources."""
    router = APIRouter(prefix=kbs.BASE_PATH)
    limit = RateLimit(AUTH_RATE, AUTH_BURST)

    @router.post("/auth")
    def auth(body: Body) -> Response:
        if not limit.allow():
            raise RcarError("RateLimit", "too many challenges at once; try again in a second", 503)
        challenge, session_id = _guard(lambda: handshake.challenge(parse(kbs.Request, body)))
        response = JSONResponse(challenge.model_dump())
        response.set_cookie(
            kbs.COOKIE, session_id, max_age=LIFETIME_SECONDS, path=kbs.BASE_PATH, secure=True, httponly=True
        )
        return response

    @router.post("/attest")
    def attest(request: Request, body: Body) -> Response:
        session_id = request.cookies.get(kbs.COOKIE)
        if not session_id:
            raise RcarError("MissingCookie", f"the cookie {kbs.COOKIE} is missing; begin with /auth")
        message = parse(kbs.Attestation, body)
        return JSONResponse({"token": _guard(lambda: handshake.attest(session_id, message))})

    @router.get("/resource/{repository}/{kind}/{tag}")
    def resource(request: Request, repository: str, kind: str, tag: str) -> Response:
        session = handshake.session(request.cookies.get(kbs.COOKIE), request.headers.get("authorization"))
        return JSONResponse(_guard(lambda: grants.resource(session, f"{repository}/{kind}/{tag}")))

    return router


def _guard(call: Callable[[], _Result]) -> _Result:
    """Errors of the core as errors of this protocol."""
    try:
        return call()
    except PpmlError as error:
        raise RcarError.of(error) from None

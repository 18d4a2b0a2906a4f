"""The broker as an ASGI application: routes, error bodies, body limit."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ppml_ops.broker.containment import Containment
from ppml_ops.broker.evidence import FindCollateral
from ppml_ops.broker.grants import Grants
from ppml_ops.broker.handshake import Handshake
from ppml_ops.broker.http_kbs import kbs_error, kbs_router
from ppml_ops.broker.http_owner import owner_router
from ppml_ops.broker.http_public import public_router
from ppml_ops.broker.limits import BodyLimit
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.rcar.kbs_v0_4 import BASE_PATH
from ppml_ops.broker.state import BrokerState
from ppml_ops.errors import (
    ConfigError,
    DataError,
    DeniedError,
    IntegrityError,
    PpmlError,
    TransientError,
)

_LOG = logging.getLogger("ppml_ops.broker")
_STATUS: tuple[tuple[type[PpmlError], int], ...] = (
    (DeniedError, 403),
    (DataError, 400),
    (ConfigError, 404),
    (IntegrityError, 409),
    (TransientError, 503),
)


def create_app(
    state: BrokerState, *, find_collateral: FindCollateral, token: str, clock: Callable[[], int]
) -> FastAPI:
    """The application over an open state.

    Args:
        state: the broker's stores.
        find_collateral: quote → collateral.
        token: the owner's bearer token.
        clock: Unix seconds.
    """
    handshake = Handshake(state, find_collateral, clock)
    grants = Grants(state, handshake, clock)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(kbs_router(handshake, grants))
    app.include_router(public_router(state, handshake, grants, find_collateral))
    app.include_router(owner_router(state, token))
    app.add_exception_handler(RcarError, _on_rcar_error)
    app.add_exception_handler(PpmlError, _on_ppml_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(BodyLimit)
    app.add_middleware(Containment, reply=_on_bug)  # the last one added is the outermost
    return app


def _on_rcar_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RcarError)
    return kbs_error(error)


def _on_ppml_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PpmlError)
    status = next((status for cls, status in _STATUS if isinstance(error, cls)), 500)
    return _ppml_reply(error, status)


def _ppml_reply(error: PpmlError, status: int) -> Response:
    kind = next(base for base in type(error).__mro__ if base.__module__ == "ppml_ops.errors").__name__
    _LOG.warning("%s: %s", kind, error)
    body = {"error": kind, "what": error.what, "next_step": error.next_step, "who": error.who}
    return JSONResponse(body, status_code=status)


def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith(BASE_PATH):
        return kbs_error(RcarError("InvalidRequestPath", "there is no such path or method", 404))
    missing = ConfigError(
        "the broker has no such path or method",
        next_step="check that both sides run the same version of PPML Ops",
    )
    return _ppml_reply(missing, error.status_code)


def _on_bug(request: Request, name: str) -> Response:
    detail = f"the broker failed ({name}); see its log"
    if request.url.path.startswith(BASE_PATH):
        return kbs_error(RcarError("InternalError", detail, 500))
    return _ppml_reply(TransientError(detail, next_step="see the broker's log"), 500)

"""The owner's API under /ppml/v1: keys, policies, resources, owners, revocation. Bearer token needed."""

import hmac
import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from ppml_ops.broker.audit import KEY_DESTROYED, WRAP_ERASED
from ppml_ops.broker.http_body import Body
from ppml_ops.broker.http_body import parse as parse_rcar
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.resources import Resource
from ppml_ops.broker.state import BrokerState
from ppml_ops.broker.tickets import Hex32
from ppml_ops.canonical import b64d, b64e
from ppml_ops.errors import DataError, DeniedError
from ppml_ops.files import create_only
from ppml_ops.keys.erasable import wrap_digest
from ppml_ops.keys.model import MAX_VERSION, NAME_PATTERN, WRAP_ALGORITHM, KeyRef, WrapAlgorithm, WrappedKey
from ppml_ops.keys.store import require_private

_Model = TypeVar("_Model", bound=BaseModel)
_Version = Field(None, ge=1, le=MAX_VERSION)


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Destroy(_Message):
    version: int | None = _Version


class _Wrap(_Message):
    version: int | None = _Version
    data_key: str = Field(max_length=64, repr=False)
    context: str = Field(max_length=64)


class _Unwrap(_Message):
    version: int = Field(ge=1, le=MAX_VERSION)
    algorithm: WrapAlgorithm = WRAP_ALGORITHM
    wrapped: str = Field(max_length=64)
    context: str = Field(max_length=64)


class _Policy(_Message):
    policy: str


class _Revoke(_Message):
    jti: Hex32


def owner_token(path: Path) -> str:
    """The bearer token in the private file `path`; made at first start.

    Raises:
        ConfigError: others could read it.
    """
    if not path.exists():
        with suppress(FileExistsError):
            create_only(path, secrets.token_urlsafe(32).encode("ascii") + b"\n", mode=0o600)
    require_private(path)
    return path.read_text("ascii").strip()


def parse(model: type[_Model], body: bytes) -> _Model:
    """The message in `body`; DataError says which member is wrong and never quotes it."""
    try:
        return parse_rcar(model, body)
    except RcarError as error:
        raise DataError(
            f"the request is malformed: {error.detail}",
            next_step="check that both sides run the same version of PPML Ops",
        ) from None


def owner_router(state: BrokerState, token: str) -> APIRouter:
    """All owner routes, behind the token."""
    expected = f"Bearer {token}".encode()

    def authorized(request: Request) -> None:
        sent = request.headers.get("authorization", "").encode(errors="replace")
        if not hmac.compare_digest(sent, expected):
            raise DeniedError(
                "the owner API needs the owner's token",
                next_step="use the token file owner.token of the broker's state folder",
            )

    router = APIRouter(prefix="/ppml/v1", dependencies=[Depends(authorized)])
    _add_keys(router, state)
    _add_policies(router, state)
    _add_trust(router, state)
    return router


def _ref(name: str, version: int | None = None) -> KeyRef:
    if not name.isascii() or len(name) > 128:
        raise DataError(f"{name[:40]!r} is not a key name", next_step=f"use {NAME_PATTERN}")
    return KeyRef.parse(f"broker:{name}").model_copy(update={"version": version})


def _add_keys(router: APIRouter, state: BrokerState) -> None:
    keys, audit = state.keystore, state.audit

    @router.get("/keys")
    def list_keys() -> Response:
        return JSONResponse([info.model_dump(mode="json") for info in keys.list()])

    @router.get("/keys/{name}")
    def describe(name: str) -> Response:
        return JSONResponse(keys.describe(_ref(name)).model_dump(mode="json"))

    @router.post("/keys/{name}")
    def create(name: str) -> Response:
        known = {info.name for info in keys.list()}
        ref = keys.create(_ref(name))
        if ref.name not in known:
            audit.append("key-created", key=str(ref))
        return JSONResponse({"version": ref.version})

    @router.post("/keys/{name}/rotate")
    def rotate(name: str) -> Response:
        ref = keys.rotate(_ref(name))
        audit.append("key-rotated", key=str(ref))
        return JSONResponse({"version": ref.version})

    @router.post("/keys/{name}/destroy")
    def destroy(name: str, body: Body) -> Response:
        ref = _ref(name, parse(_Destroy, body).version)
        keys.destroy(ref)
        audit.append(KEY_DESTROYED, key=str(ref))
        return JSONResponse({})

    @router.post("/keys/{name}/wrap")
    def wrap(name: str, body: Body) -> Response:
        message = parse(_Wrap, body)
        wrapped = keys.wrap(_ref(name, message.version), _decode(message.data_key), message.context)
        return JSONResponse(wrapped.model_dump(mode="json"))

    @router.post("/keys/{name}/unwrap")
    def unwrap(name: str, body: Body) -> Response:
        message = parse(_Unwrap, body)
        wrapped = _wrapped(name, message)
        data_key = keys.unwrap(wrapped, message.context)
        # A data key leaves: on record first.
        audit.append("owner-unwrap", key=wrapped.key, dataset=message.context)
        return JSONResponse({"data_key": b64e(data_key)})

    @router.post("/keys/{name}/erase")
    def erase(name: str, body: Body) -> Response:
        message = parse(_Unwrap, body)
        wrapped = _wrapped(name, message)
        done = keys.erase(wrapped, message.context)
        record = audit.append(
            WRAP_ERASED,
            key=wrapped.key,
            dataset=message.context,
            wrapped=wrap_digest(wrapped),
            erased=done["erased"],
        )
        return JSONResponse(done | {"record": record.model_dump(mode="json")})


def _wrapped(name: str, message: _Unwrap) -> WrappedKey:
    key = str(_ref(name, message.version))
    return parse(WrappedKey, _json({"key": key, "algorithm": message.algorithm, "wrapped": message.wrapped}))


def _add_policies(router: APIRouter, state: BrokerState) -> None:
    @router.get("/policies")
    def list_policies() -> Response:
        return JSONResponse(state.policies.names())

    @router.get("/policies/{dataset}")
    def get_policy(dataset: str) -> Response:
        return JSONResponse({"policy": state.policies.text(dataset)})

    @router.put("/policies/{dataset}")
    def put_policy(dataset: str, body: Body) -> Response:
        message = parse(_Policy, body)
        policy = state.policies.put(dataset, message.policy)
        document = state.archive.put(message.policy.encode("utf-8"))
        state.audit.append("policy-changed", dataset=dataset, policy_digest=policy.digest, document=document)
        return JSONResponse({"policy_digest": policy.digest})

    @router.put("/resources/{repository}/{kind}/{tag}")
    def put_resource(repository: str, kind: str, tag: str, body: Body) -> Response:
        path = f"{repository}/{kind}/{tag}"
        resource = parse(Resource, body)
        state.resources.put(path, resource)
        state.audit.append("resource-changed", resource=path, policy=resource.policy, sample=resource.sample)
        return JSONResponse({})


def _add_trust(router: APIRouter, state: BrokerState) -> None:
    @router.get("/owners")
    def list_owners() -> Response:
        return JSONResponse(sorted(state.owners.all()))

    @router.post("/owners")
    def register_owner(body: Body) -> Response:
        thumbprint = state.owners.register(parse(_Jwk, body).model_dump())
        state.audit.append("owner-registered", owner=thumbprint)
        return JSONResponse({"thumbprint": thumbprint})

    @router.post("/tickets/{jti}/revoke")
    def revoke(jti: str) -> Response:
        ticket = parse(_Revoke, _json({"jti": jti})).jti
        if ticket not in state.audit.revoked():
            state.audit.append("ticket-revoked", ticket=ticket)
        return JSONResponse({})


class _Jwk(_Message):
    kty: str = Field(max_length=8)
    crv: str = Field(max_length=16)
    x: str = Field(max_length=64)


def _decode(text: str) -> bytes:
    try:
        return b64d(text)
    except ValueError:
        raise DataError("the data key is not standard base64", next_step="send it in base64") from None


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()

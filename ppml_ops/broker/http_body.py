"""Request bodies: read whole (bounded by the body limit), then parsed by strict models of the route."""

from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from ppml_ops.attestation.errors import printable
from ppml_ops.broker.rcar.errors import RcarError

_Model = TypeVar("_Model", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The raw body; routes parse it by their own strict models."""
    return await request.body()


Body = Annotated[bytes, Depends(read_body)]


def parse(model: type[_Model], body: bytes) -> _Model:
    """The message in `body`.

    Raises:
        RcarError: 400 with the first place that is wrong; the input is not quoted.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise RcarError("SerdeError", printable(f"{where}: {first['msg']}"), 400) from None

"""`.meta`: one JSON object with the wrapped data key, beside the parts of a data set."""

import json
from typing import Final

from ppml_ops.crypto.bigdl.layout import wrapped_text
from ppml_ops.errors import IntegrityError

#: The original writes about 80 bytes; its reader has no limit.
MAX_BYTES: Final = 64 << 10
_MEMBER = "encryptedDataKey"


def encode_meta(wrapped: str) -> bytes:
    """The bytes that the original writes for a wrapped data key. Raises as `wrapped_text`."""
    wrapped_text(wrapped.encode("utf-8"))
    return f'{{\n  "{_MEMBER}" : {json.dumps(wrapped)}\n}}\n'.encode("ascii")


def parse_meta(data: bytes) -> str:
    """The wrapped data key in `.meta`, "" where `nativeaescbc` has none.

    As lenient as the original: names in any case, unknown members, any white space. Stricter in one: two
    members that say different things are refused.

    Raises:
        IntegrityError: too long, not JSON, or without a wrapped data key.
    """
    if len(data) > MAX_BYTES:
        raise _damaged(f"it has more than {MAX_BYTES} bytes")
    try:
        # Pairs, not a dictionary: that would hide a second member of the same name.
        pairs = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise _damaged("it is not JSON") from None
    if not isinstance(pairs, _Pairs):
        raise _damaged("it is not a JSON object")
    found = [value for name, value in pairs if name.lower() == _MEMBER.lower()]
    if not found or any(value != found[0] for value in found) or not isinstance(found[0], str):
        raise _damaged(f"it does not say one {_MEMBER}")
    try:
        return wrapped_text(found[0].encode("utf-8"))
    except UnicodeEncodeError:
        raise _damaged("its key is not text") from None


class _Pairs(list[tuple[str, object]]):
    """Members of a JSON object in their order, told apart from an array."""


def _damaged(why: str) -> IntegrityError:
    return IntegrityError(
        f".meta is damaged: {why}", next_step="restore .meta from a good copy; the parts alone carry keys too"
    )

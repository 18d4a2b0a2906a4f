"""The arithmetic of the original's SimpleKeyManagementService, as it really executes.

A digit is appended as the decimal text of its character code, so keys have 32 characters, of which unwrapping
uses the first 16 of the wrapped text only. About 13 bits of key: see docs/from-bigdl-ppml.md.
Source: kms/client/SimpleKeyManagementService.scala.
"""

import re
from typing import Final

from ppml_ops.crypto.bigdl.layout import MAX_WRAPPED
from ppml_ops.errors import IntegrityError

#: Application id (12 characters, in practice digits) and 4 random digits.
PRIMARY_KEY: Final = 16
_WRAPPED = re.compile(rf"[0-9]{{{PRIMARY_KEY},{MAX_WRAPPED}}}", re.ASCII)
_ZERO: Final = ord("0")


def simple_wrap(primary: str, digits: str) -> str:
    """The wrapped data key for 16 random decimal digits; 32 characters."""
    added = [(ord(key) + int(digit) - _ZERO) % 10 for key, digit in zip(primary, digits, strict=True)]
    return "".join(str(_ZERO + digit) for digit in added)


def simple_unwrap(primary: str, wrapped: str) -> str:
    """The data key in `wrapped`; 32 characters.

    Raises:
        IntegrityError: SimpleKeyManagementService wraps nothing like it.
    """
    if not _WRAPPED.fullmatch(wrapped):
        raise IntegrityError(
            "the data key was not wrapped by SimpleKeyManagementService",
            next_step="check the key reference: another primary key or key service wrapped it",
        )
    pairs = zip(wrapped[:PRIMARY_KEY], primary, strict=True)
    return "".join(str(_ZERO + _java_remainder(ord(one) - ord(key) + 10)) for one, key in pairs)


def _java_remainder(value: int) -> int:
    """By 10, with the sign of `value`, as Java's `%`; application ids may have letters."""
    return value % 10 if value >= 0 else -(-value % 10)

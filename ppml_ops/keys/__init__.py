"""Primary keys: who makes, wraps and unwraps them, addressed by URI."""

from ppml_ops.keys.model import KeyInfo, KeyRef, KeyVersion, WrappedKey
from ppml_ops.keys.service import KeyService, key_service_for, new_data_key, register, rewrap

__all__ = [
    "KeyInfo",
    "KeyRef",
    "KeyService",
    "KeyVersion",
    "WrappedKey",
    "key_service_for",
    "new_data_key",
    "register",
    "rewrap",
]

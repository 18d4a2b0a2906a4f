"""`.meta` of BigDL PPML."""

from ppml_ops.crypto.bigdl.meta import encode_meta, parse_meta
from ppml_ops.errors import PpmlError


def run(data: bytes) -> None:
    """What is read can be written and read again."""
    try:
        wrapped = parse_meta(data)
    except PpmlError:
        return
    assert parse_meta(encode_meta(wrapped)) == wrapped

"""Primary key files of BigDL PPML, and wrapped data keys under what they hold."""

from ppml_ops.crypto.bigdl.datakey import file_keys
from ppml_ops.crypto.bigdl.keyfile import PlainPrimary, encode_key_file, parse_key_file
from ppml_ops.crypto.bigdl.plainkey import plain_unwrap
from ppml_ops.crypto.bigdl.simplekms import simple_unwrap
from ppml_ops.errors import PpmlError


def run(data: bytes) -> None:
    """The first line is the key, the second a wrapped data key."""
    _, _, wrapped = data.partition(b"\n")
    text = wrapped.decode("latin-1")
    try:
        primary = parse_key_file(data)
        if isinstance(primary, PlainPrimary):
            file_keys(plain_unwrap(primary.key, text))
        else:
            assert parse_key_file(encode_key_file(primary)) == primary
            file_keys(simple_unwrap(primary.text, text))
    except PpmlError:
        return

import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ppml_ops.spark.k8s.secret import rpc_secret, write_secret

A, B = bytes(range(32)), bytes(32)


def test_secret_is_derived_from_all_keys_and_generation() -> None:
    wanted = HKDF(SHA256(), 32, None, b"ppml-ops/rpc/2\0r-g1").derive(b"\0\x02in" + A + b"\0\x03out" + B)
    secret = rpc_secret({"out": B, "in": A}, "r-g1")
    assert base64.b64decode(secret) == wanted
    made = [({"in": A, "out": B}, "r-g2"), ({"in": B, "out": B}, "r-g1"), ({"in": A, "out": A}, "r-g1")]
    assert len({secret, *(rpc_secret(keys, generation) for keys, generation in made)}) == 4


def test_file_is_private_and_new(tmp_path: Path) -> None:
    write_secret(tmp_path / "rpc", b"s")
    assert stat.S_IMODE((tmp_path / "rpc").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "rpc", b"t")

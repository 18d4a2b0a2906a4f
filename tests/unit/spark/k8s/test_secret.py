import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ppml_ops.spark.k8s.secret import rpc_secret, write_secret

KEY = bytes(range(32))


def test_secret_is_derived_from_key_and_generation() -> None:
    wanted = HKDF(SHA256(), 32, None, b"ppml-ops/rpc/1\0r-g1").derive(KEY)
    assert base64.b64decode(rpc_secret(KEY, "r-g1")) == wanted
    assert len({rpc_secret(KEY, "r-g1"), rpc_secret(KEY, "r-g2"), rpc_secret(bytes(32), "r-g1")}) == 3


def test_file_is_private_and_new(tmp_path: Path) -> None:
    write_secret(tmp_path / "rpc", b"s")
    assert stat.S_IMODE((tmp_path / "rpc").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "rpc", b"t")

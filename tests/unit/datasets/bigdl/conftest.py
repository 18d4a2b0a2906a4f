"""Copies of the original's data sets to work on, and its keys."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ppml_ops.keys.original import OriginalKeys, original_keys_for
from tests.support.bigdl import FIXTURES, KEY_FILES


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], OriginalKeys]:
    """`keys("simple")`: one of the fixtures' primary keys."""
    return lambda name: original_keys_for(f"simple:{KEY_FILES[name]}", home=tmp_path)


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    """`copy("csv_cbc_multi")`: a data set of the original to be changed, by default without side files."""

    def copied(name: str, *, checksums: bool = False) -> Path:
        target = tmp_path / name
        shutil.copytree(FIXTURES / "data" / name, target)
        if not checksums:
            for path in target.glob(".*.crc"):
                path.unlink()
        return target

    return copied

"""Files are written whole or not at all, and what killed writers leave is removed."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.files import create_only, remove_abandoned, write_private


def test_only_old_files_of_our_writers_are_abandoned(tmp_path: Path) -> None:
    write_private(tmp_path / "record.json", b"{}")
    create_only(tmp_path / "1.json", b"{}")
    young, old = tmp_path / f".a.json.{'0' * 16}", tmp_path / f".b.json.{'f' * 16}"
    for path in (young, old, tmp_path / ".profile", tmp_path / f"c.{'0' * 16}"):
        path.touch()
        os.utime(path, (0, time.time() - (0 if path == young else 3600)))
    assert remove_abandoned(tmp_path) == 1
    assert not old.exists()
    assert young.exists()
    assert len(list(tmp_path.iterdir())) == 5
    assert remove_abandoned(tmp_path / "absent") == 0


@pytest.mark.parametrize("nameless", [True, False], ids=["nameless", "by name"])
def test_creating_never_replaces_and_leaves_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    real = os.open

    def on_nfs(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, *arguments, **named)

    if not nameless:
        monkeypatch.setattr(os, "open", on_nfs)
    target = tmp_path / "key.json"
    create_only(target, b"first", mode=0o600)
    with pytest.raises(FileExistsError):
        create_only(target, b"second")
    assert target.read_bytes() == b"first"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(FileNotFoundError):
        create_only(tmp_path / "absent" / "key.json", b"x")

"""Files that killed writers leave behind."""

import os
import time
from pathlib import Path

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

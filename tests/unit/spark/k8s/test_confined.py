"""Nothing that somebody plants in a node's folder leads out of it."""

import os
from pathlib import Path

import pytest

from ppml_ops.spark.k8s.confined import MAX_PATH, ConfinedFolder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "secret"
    path.parent.mkdir()
    path.write_text("secret")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> ConfinedFolder:
    (tmp_path / "node").mkdir()
    return ConfinedFolder(tmp_path / "node")


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "a/../b", "a//b", "a/", ".", "a\0b", "x" * (MAX_PATH + 1), "n" * 256, None, 3],
)
def test_only_plain_relative_paths(folder: ConfinedFolder, path: object) -> None:
    for act in (
        lambda: folder.size(path),
        lambda: folder.write(path, 0, b"x"),
        lambda: folder.remove(path),
        lambda: folder.make_folder(path),
        lambda: folder.rename("a", path, again=False),
    ):
        with pytest.raises(ValueError, match="path"):
            act()


def test_links_are_not_followed(folder: ConfinedFolder, secret: Path, tmp_path: Path) -> None:
    node = tmp_path / "node"
    (node / "file").symlink_to(secret)
    (node / "folder").symlink_to(secret.parent)
    assert folder.size("file") is None
    assert folder.size("folder/secret") is None
    assert folder.names("folder") == []
    assert folder.files("") == []
    assert folder.checksum("folder/secret") is None
    for path in ("file", "folder/secret"):
        with pytest.raises(OSError):
            folder.read(path, 0, 10)
        with pytest.raises(OSError):
            folder.write(path, 0, b"overwritten")
    folder.remove("folder/secret")
    folder.remove("folder")
    folder.remove("file")
    assert secret.read_text() == "secret"
    assert list(node.iterdir()) == []


def test_a_tree_with_links_in_it_is_removed_alone(folder: ConfinedFolder, secret: Path, tmp_path: Path) -> None:
    (tmp_path / "node" / "t").mkdir()
    (tmp_path / "node" / "t" / "link").symlink_to(secret.parent)
    folder.remove("t")
    assert secret.exists()
    assert folder.names("") == []


def test_a_pipe_is_neither_read_nor_waited_for(folder: ConfinedFolder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node" / "pipe")
    assert folder.size("pipe") is None
    assert folder.checksum("pipe") is None
    with pytest.raises(FileNotFoundError):
        folder.read("pipe", 0, 1)
    with pytest.raises(OSError):
        folder.write("pipe", 0, b"x")


def test_no_holes(folder: ConfinedFolder) -> None:
    folder.write("a", 0, b"12")
    with pytest.raises(ValueError, match="hole"):
        folder.write("a", 3, b"4")
    folder.write("a", 2, b"3")
    folder.write("a", 2, b"3")
    assert folder.read("a", 0, 9) == (b"123", 3)


def test_what_is_published_is_what_was_sent(folder: ConfinedFolder) -> None:
    folder.write("hidden", 0, b"12")
    with pytest.raises(ValueError, match="not the bytes"):
        folder.publish("hidden", "a", 3, "", replace=True)
    assert folder.size("a") is None

"""Folders of nodes: every operation, also when the stream is cut just before the answer."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.errors import IntegrityError, TransientError
from ppml_ops.spark.k8s.frames import MAX_PAYLOAD, encode_frame
from ppml_ops.spark.k8s.nodesession import NodeSession
from ppml_ops.spark.k8s.podfolder import PodFolder
from tests.unit.spark.k8s.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "node")
    yield made
    made.session.close()


def put(folder: PodFolder, path: str, data: bytes) -> None:
    with folder.open_write(path) as file:
        file.write(data)


def test_what_is_written_is_read_back(node: Node) -> None:
    folder, data = node.folder("in/people"), os.urandom(MAX_PAYLOAD + 12345)
    put(folder, "t/part", data)
    assert node.local("in/people/t/part").read_bytes() == data
    assert folder.size("t/part") == len(data)
    assert b"".join(folder.chunks("t/part")) == data
    assert folder.read("t/part", 10) == data[:10]
    assert folder.read("t/part", 2 * len(data)) == data
    with folder.open_read("t/part") as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == data[-5:]
    assert folder.checksum("t/part").length == len(data)
    assert folder.files() == ["t/part"]
    assert folder.names() == ["t"]
    assert folder.at("t").names() == ["part"]
    assert folder.is_file("t/part")
    assert not folder.is_file("t")


def test_an_empty_file_is_a_file(node: Node) -> None:
    put(node.folder("g1/r"), "empty", b"")
    assert node.folder("g1/r").size("empty") == 0
    assert list(node.folder("g1/r").chunks("empty")) == []


def test_what_is_missing_is_missing(node: Node) -> None:
    folder = node.folder("in/people")
    assert (folder.names(), folder.files(), folder.is_file("x")) == ([], [], False)
    for act in (folder.size, folder.checksum, folder.open_read, lambda path: folder.read(path, 1)):
        with pytest.raises(FileNotFoundError):
            act("x")
    folder.remove("x")
    folder.remove()


def test_the_second_to_create_loses_unless_it_brings_the_same(node: Node) -> None:
    folder = node.folder("in/people")
    folder.create_only("_manifest/1.json", b"one")
    folder.create_only("_manifest/1.json", b"one")
    with pytest.raises(FileExistsError):
        folder.create_only("_manifest/1.json", b"two")
    assert folder.read("_manifest/1.json", 10) == b"one"


def test_an_upload_that_fails_leaves_nothing_to_be_seen(node: Node) -> None:
    folder = node.folder("in/people")
    with pytest.raises(RuntimeError), folder.open_write("part") as file:
        file.write(os.urandom(MAX_PAYLOAD + 1))
        raise RuntimeError
    assert folder.files() == []
    assert node.folder().names() == []
    node.folder().remove()
    assert not node.local().exists()


def test_a_long_list_comes_in_pages(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppml_ops.spark.k8s.nodepod.MAX_PAYLOAD", 64)
    for number in range(30):
        put(node.folder("in/people"), f"part-{number:05d}", b"x")
    assert len(node.folder("in/people").files()) == 30
    assert len(node.folder("in/people").names()) == 30


@pytest.mark.parametrize("frames", range(4))
def test_a_cut_stream_changes_nothing(node: Node, frames: int) -> None:
    """Each request may be the one whose answer is lost; it was carried out and is asked for again."""
    node.cuts = [frames] * 40 if frames else [0, 1, 0, 2, 0, 1]
    folder, data = node.folder("in/people"), os.urandom(2 * MAX_PAYLOAD + 7)
    put(folder, "part", data)
    folder.create_only("once", b"1")
    folder.rename("part", "t/part")
    assert folder.checksum("t/part").length == len(data)
    assert b"".join(folder.chunks("t/part")) == data
    assert folder.files() == ["once", "t/part"]
    folder.remove("t")
    assert folder.files() == ["once"]
    assert node.opened > 1


def test_a_node_that_stays_away_is_a_transient_error() -> None:
    def refuse() -> Any:
        raise ConnectionRefusedError("no route")

    with pytest.raises(TransientError, match="no answer"):
        PodFolder(NodeSession("node-1", refuse, sleep=lambda _s: None), "run").size("x")


class Liar:
    """A stream whose answers a test makes up."""

    def __init__(self, *answers: bytes) -> None:
        self._data = encode_frame({"ok": True, "version": "nodepod/1"}) + b"".join(answers)

    def send(self, data: bytes) -> None:
        pass

    def receive(self, size: int) -> bytes:
        if len(self._data) < size:
            raise ConnectionResetError
        data, self._data = self._data[:size], self._data[size:]
        return data

    def close(self) -> None:
        pass


SIZE, READ, NAMES = (
    lambda folder: folder.size("x"),
    lambda folder: folder.read("x", 3),
    lambda folder: folder.names(),
)


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        (SIZE, encode_frame({"ok": True, "size": -1})),
        (SIZE, encode_frame({"ok": True, "size": True})),
        (SIZE, encode_frame({"ok": True, "size": 1 << 61})),
        (READ, encode_frame({"ok": True, "size": 3}, b"four")),
        (READ, encode_frame({"ok": True}, b"one")),
        (NAMES, encode_frame({"ok": True}, b"a/b\0")),
        (NAMES, encode_frame({"ok": True}, b"\0")),
        (NAMES, encode_frame({"ok": True}, b"..\0")),
        (NAMES, encode_frame({"ok": True}, b"\xff\0")),
        (NAMES, encode_frame({"ok": True, "more": True})),
        (SIZE, b"\xff" * 8),
        (SIZE, b"\0\0\0\2\0\0\0\0[]"),
        (SIZE, b"\0\0\0\1\0\0\0\0{"),
    ],
)
def test_an_answer_to_something_else_is_refused(act: Callable[[PodFolder], object], answer: bytes) -> None:
    folder = PodFolder(NodeSession("node-1", lambda: Liar(answer), sleep=lambda _s: None), "run")
    with pytest.raises(IntegrityError, match="not asked"):
        act(folder)


def test_a_node_that_is_busy_for_ever_is_given_up() -> None:
    now = iter(range(0, 100_000, 1000))
    answers = Liar(*[encode_frame({"busy": True})] * 10)
    session = NodeSession("node-1", lambda: answers, sleep=lambda _s: None, clock=lambda: next(now))
    with pytest.raises(TransientError, match="busy with one request"):
        PodFolder(session, "run").size("x")
    assert next(now) == 5000


def test_a_pod_of_another_version_is_refused() -> None:
    class Old(Liar):
        def __init__(self) -> None:
            self._data = encode_frame({"ok": True, "version": "nodepod/0"})

    with pytest.raises(IntegrityError, match="speaks nodepod/0"):
        PodFolder(NodeSession("node-1", Old), "run").size("x")

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ppml_ops.crypto.layout import HEADER, SEGMENT
from ppml_ops.crypto.sealed import SealedWriter
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import DataError, IntegrityError, TransientError
from ppml_ops.lifecycle import logs
from ppml_ops.lifecycle.run import Run

KEY = bytes(range(32))
BIG = b"x" * (2 * SEGMENT + 1)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of one generation, its result in `tmp_path`."""
    output = SimpleNamespace(dataset="result", wraps=[SimpleNamespace(ref="local:result")])
    service = SimpleNamespace(unwrap=lambda _wrap, _context: KEY)
    monkeypatch.setattr(logs, "generations", lambda _run: [SimpleNamespace(name="r-g1", ticket="t")])
    monkeypatch.setattr(logs, "read_ticket", lambda _run, _name: None)
    monkeypatch.setattr(logs, "written_by", lambda _claims: (output,))
    monkeypatch.setattr(logs, "key_service_for", lambda _ref, home, broker: service)
    dataset = SimpleNamespace(folder=Folder(tmp_path))
    return cast(Run, SimpleNamespace(key="r", home=tmp_path, broker=None, dataset=lambda _name: dataset))


def piece(tmp_path: Path, name: str, text: bytes, *, keep: int | None = None) -> None:
    path = tmp_path / "_logs" / name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as sink, SealedWriter(sink, KEY, b"result") as writer:
        writer.write(text)
    path.write_bytes(path.read_bytes()[:keep])


def read(run: Run) -> bytes:
    return b"".join(text for _generation, text in logs.read_logs(run))


def test_pieces_are_read_in_order(tmp_path: Path, run: Run) -> None:
    for number in (0, 1, 2, 10):
        piece(tmp_path, f"r-g1{f'.{number}' if number else ''}.log", f"{number}\n".encode())
    assert read(run) == b"0\n1\n2\n10\n"


@pytest.mark.parametrize(("keep", "shown"), [(0, b""), (HEADER, b""), (SEGMENT, b""), (2 * SEGMENT, b"x")])
def test_a_last_piece_that_was_cut_by_a_kill_is_noted(
    tmp_path: Path, run: Run, keep: int, shown: bytes
) -> None:
    piece(tmp_path, "r-g1.log", b"first\n")
    piece(tmp_path, "r-g1.1.log", BIG, keep=keep)
    text = read(run)
    assert text.startswith(b"first\n" + shown)
    assert text.endswith(logs.CUT)


@pytest.mark.parametrize(("first", "last"), [(HEADER, None), (None, HEADER + 20)])
def test_other_damage_is_an_integrity_error(
    tmp_path: Path, run: Run, first: int | None, last: int | None
) -> None:
    piece(tmp_path, "r-g1.log", b"first\n", keep=first)
    piece(tmp_path, "r-g1.1.log", b"second\n", keep=last)
    with pytest.raises(IntegrityError):
        read(run)


def test_no_log_is_an_error(run: Run) -> None:
    with pytest.raises(DataError, match="no sealed log"):
        read(run)


def on_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str | None) -> Run:
    """A run of one generation on nodes a, b and c, each with a folder below `tmp_path`; c can't be reached."""

    def output(node: str, _dataset: str) -> Folder:
        if node == "c":
            raise TransientError("away", next_step="wait")
        return Folder(tmp_path / node)

    generation = SimpleNamespace(name="r-g1", driver_disk=driver, output=output)
    monkeypatch.setattr(logs, "generations", lambda _run: [generation])
    dataset = SimpleNamespace(folder=Folder(tmp_path / "result"))
    nodes = SimpleNamespace(disks=("a", "b", "c"), gone=frozenset)
    return cast(Run, SimpleNamespace(nodes=nodes, dataset=lambda _name: dataset))


def logged(tmp_path: Path, node: str, name: str, text: str) -> None:
    path = tmp_path / node / "_logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def kept(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "result" / "_logs"
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}


@pytest.mark.parametrize(("driver", "shown"), [("a", "of a"), ("b", "of b"), (None, "of a")])
def test_no_node_replaces_what_the_drivers_node_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str | None, shown: str
) -> None:
    for node in "ab":
        logged(tmp_path, node, "r-g1.log", f"of {node}")
        logged(tmp_path, node, f"r-g1-e{ord(node)}.log", node)
    assert logs.keep_sealed_logs(on_nodes(tmp_path, monkeypatch, driver), "result") == ["c"]
    assert kept(tmp_path) == {"r-g1.log": shown, "r-g1-e97.log": "a", "r-g1-e98.log": "b"}


def test_only_logs_of_the_generation_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("r-g2.log", "other-g1.log", "r-g1.log.copy", "x"):
        logged(tmp_path, "a", name, "strange")
    logs.keep_sealed_logs(on_nodes(tmp_path, monkeypatch, "a"), "result")
    assert kept(tmp_path) == {}


def test_a_log_without_end_is_an_integrity_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 10)
    logged(tmp_path, "b", "r-g1.log", "x" * 11)
    with pytest.raises(IntegrityError, match="more than 10 bytes, which no log has"):
        logs.keep_sealed_logs(on_nodes(tmp_path, monkeypatch, "a"), "result")

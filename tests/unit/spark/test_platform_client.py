import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, TransientError
from ppml_ops.spark.platform_client import PlatformClient


@contextmanager
def platform(path: Path, answer: bytes, asked: list[object]) -> Iterator[PlatformClient]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(json.loads(self.rfile.readline()))
            self.wfile.write(answer)

    with socketserver.UnixStreamServer(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield PlatformClient(path)
        finally:
            server.shutdown()


def test_create_and_destroy(tmp_path: Path) -> None:
    asked: list[object] = []
    answer = b'{"ok":true,"td":"t1","socket":"td/t1.sock"}\n'
    with platform(tmp_path / "p.sock", answer, asked) as client:
        made = client.create_td("r-g1", Path("/j.json"), Path("/code"))
        client.destroy_td(made.td)
    assert (made.td, made.socket) == ("t1", str(tmp_path / "td/t1.sock"))
    assert asked == [
        {"op": "create_td", "generation": "r-g1", "job": "/j.json", "code": "/code"},
        {"op": "destroy_td", "td": "t1"},
    ]


@pytest.mark.parametrize("socket", ["/s/t1.sock", "../t1.sock", "td/../../t1.sock", "t1", ""])
def test_sockets_lie_below_the_platforms_folder(tmp_path: Path, socket: str) -> None:
    answer = json.dumps({"ok": True, "td": "t1", "socket": socket}).encode() + b"\n"
    with platform(tmp_path / "p.sock", answer, []) as client, pytest.raises(ConfigError):
        client.create_td("r-g1", Path("/j.json"), Path("/code"))


@pytest.mark.parametrize(
    "answer",
    [
        b'{"ok":false,"error":"not yours\x1b[31m"}\n',
        b'{"ok":true}\n',
        b"[]\n",
        b"no line end",
        b"x" * 70_000 + b"\n",
    ],
)
def test_refusals_and_strange_answers_are_configuration_errors(tmp_path: Path, answer: bytes) -> None:
    with platform(tmp_path / "p.sock", answer, []) as client, pytest.raises(ConfigError) as caught:
        client.status()
    assert "\x1b" not in str(caught.value)


def test_no_platform_is_transient_and_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="ppml-ops services start"):
        PlatformClient(tmp_path / "none.sock").status()

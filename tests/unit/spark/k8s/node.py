"""A node's folder behind the real server and client, joined by a socket instead of a cluster."""

import io
import socket
import threading
from pathlib import Path

from ppml_ops.spark.k8s.nodepod import Session
from ppml_ops.spark.k8s.nodesession import NodeSession
from ppml_ops.spark.k8s.podfolder import PodFolder

RUN = "try-20261120-0123456789ab"


class Wire:
    """One stream to a server of its own; `cut_after` frames the server's answers are lost."""

    def __init__(self, root: Path, cut_after: int | None) -> None:
        here, there = socket.socketpair()
        here.settimeout(20)
        self._socket, self._left = here, cut_after
        self._reader = here.makefile("rb")
        threading.Thread(target=self._serve, args=(root, there), daemon=True).start()

    @staticmethod
    def _serve(root: Path, there: socket.socket) -> None:
        with there, there.makefile("rb") as source, there.makefile("wb") as sink:
            try:
                Session(root, root / "device", source, io.BufferedWriter(sink.raw)).serve()
            except (BrokenPipeError, ConnectionResetError):
                return

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._await_answer()
                self.close()
                raise ConnectionResetError("cut")

    def _await_answer(self) -> None:
        """The server has done what it was asked; only its answer is lost."""
        self._reader.read(8)

    def receive(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise ConnectionResetError("ended")
        return data

    def close(self) -> None:
        self._socket.close()


class Node:
    """A node whose streams end when a test says so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cuts: list[int | None] = []
        self.opened = 0
        root.mkdir(parents=True, exist_ok=True)
        self.session = NodeSession("node-1", self._open, sleep=lambda _s: None)

    def _open(self) -> Wire:
        self.opened += 1
        return Wire(self.root, self.cuts.pop(0) if self.cuts else None)

    def folder(self, path: str = "") -> PodFolder:
        return PodFolder(self.session, f"{RUN}/{path}")

    def local(self, path: str = "") -> Path:
        return self.root / RUN / path

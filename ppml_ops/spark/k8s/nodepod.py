"""Runs in a node pod, started by `pods/exec` for one session: files of the node's folder, and its evidence.

Speaks `frames` on stdin and stdout. Holds no secret, and sees ciphertext only. Standard library only, because
every session starts it anew; what evidence needs is imported when it is asked for.
"""

import base64
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from ppml_ops.spark.k8s.confined import ConfinedFolder
from ppml_ops.spark.k8s.frames import MAX_PAYLOAD, VERSION, BadFrameError, Header, encode_frame, read_frame

NODE_FOLDER = Path("/ppml/node")
DEVICE_FOLDER = Path("/run/ppml-sim")
_BUSY_SECONDS = 5.0
_Reply = tuple[Header, bytes]


class Session:
    """One session: requests from `source`, replies to `sink`, all about files below `root`."""

    def __init__(self, root: Path, device: Path, source: BinaryIO, sink: BinaryIO) -> None:
        self._root, self._device = root, device
        self._folder = ConfinedFolder(root)
        self._source, self._sink = source, sink
        self._told = time.monotonic()

    def serve(self) -> None:
        """Answer until stdin ends."""
        self._reply({"ok": True, "version": VERSION})
        while True:
            try:
                header, payload = read_frame(self._read)
            except EOFError:
                return
            self._reply(*self._answer(header, payload))

    def _answer(self, header: Header, payload: bytes) -> _Reply:
        try:
            more, data = self._do(header, payload)
            return {"ok": True, **more}, data
        except FileNotFoundError:
            return {"ok": False, "error": "missing"}, b""
        except FileExistsError:
            return {"ok": False, "error": "exists"}, b""
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else f"{error}"
            return {"ok": False, "error": "failed", "why": f"{type(error).__name__}: {why}"[:300]}, b""

    def _do(self, header: Header, payload: bytes) -> _Reply:
        folder, path = self._folder, header.get("path")
        match header.get("op"):
            case "size":
                return {"size": folder.size(path)}, b""
            case "names":
                return self._page(folder.names(path), header)
            case "files":
                return self._page(folder.files(path), header)
            case "read":
                length = min(_number(header, "length"), MAX_PAYLOAD)
                data, size = folder.read(path, _number(header, "offset"), length)
                return {"size": size}, data
            case "write":
                folder.write(path, _number(header, "offset"), payload)
            case "publish":
                length, digest = _number(header, "length"), str(header["sha256"])
                folder.publish(header["hidden"], path, length, digest, replace=bool(header["replace"]))
            case "rename":
                folder.rename(path, header["to"], again=bool(header.get("again")))
            case "remove":
                folder.remove(path)
            case "make":
                folder.make_folder(path)
            case "checksum":
                found = folder.checksum(path, self._busy)
                if found is None:
                    raise FileNotFoundError
                return {"sha256": found[0], "length": found[1]}, b""
            case "evidence":
                return self._evidence(header)
            case _:
                raise ValueError("unknown operation")
        return {}, b""

    def _page(self, names: list[str], header: Header) -> _Reply:
        """As much of a list as a frame holds, from after the name `after` on; NUL after each."""
        after, data = str(header.get("after", "")), bytearray()
        left = [name for name in names if name > after]
        for name in left:
            encoded = os.fsencode(name) + b"\0"
            if len(data) + len(encoded) > MAX_PAYLOAD:
                return {"more": True}, bytes(data)
            data += encoded
        return {"more": False}, bytes(data)

    def _evidence(self, header: Header) -> _Reply:
        """A quote over the given report data, of a TD that has measured the job that was put here."""
        from ppml_ops.errors import PpmlError
        from ppml_ops.spark.k8s.probe import quote_of_probe

        try:
            evidence = quote_of_probe(
                str(header["device"]),
                base64.b64decode(header["report_data"], validate=True),
                name=str(header["name"]),
                folder=self._root / self._inside(header["path"]),
                code=self._inside(header["code"]),
                platform=self._device,
            )
        except PpmlError as error:
            what, step = error.what[:600], error.next_step[:300]
            return {"ok": False, "error": "refused", "code": error.exit_code, "why": what, "step": step}, b""
        log = evidence.event_log
        lengths = {"tee": evidence.tee, "quote": len(evidence.quote), "log": None if log is None else len(log)}
        return lengths, evidence.quote + (log or b"")

    @staticmethod
    def _inside(path: object) -> str:
        from ppml_ops.spark.k8s.confined import pieces_of

        return "/".join(pieces_of(path))

    def _busy(self, done: int) -> None:
        if time.monotonic() - self._told > _BUSY_SECONDS:
            self._reply({"busy": done})

    def _reply(self, header: Header, payload: bytes = b"") -> None:
        self._sink.write(encode_frame(header, payload))
        self._sink.flush()
        self._told = time.monotonic()

    def _read(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise EOFError
        return data


def _number(header: Header, name: str) -> int:
    value = header[name]
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"{name} is no length")
    return value


def main() -> int:
    """Serve one session on stdin and stdout."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else may write into the protocol
    try:
        Session(NODE_FOLDER, DEVICE_FOLDER, sys.stdin.buffer, sink).serve()
    except BadFrameError as error:
        print(f"nodepod: {error}", file=sys.stderr)  # noqa: T201
        return 65
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The orchestrator's end of a node pod: requests that survive a dropped stream, a killed pod, an absent API.

What comes back is not trusted: every length is checked against what was asked.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ppml_ops.errors import ConfigError, IntegrityError, TransientError, error_from_exit_code
from ppml_ops.spark.k8s.frames import VERSION, BadFrameError, Header, encode_frame, read_frame
from ppml_ops.spark.k8s.refusals import shown

#: How often in a row a session is opened anew without one answer.
_TRIES = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
#: How long a node may be busy with one request, such as the checksum of a large file.
_BUSY_SECONDS = 3600.0
_MAX_NUMBER = 1 << 60
_FORBIDDEN = frozenset({"PermissionError"})


class Stream(Protocol):
    """Bytes both ways; errors are OSError."""

    def send(self, data: bytes) -> None:
        """Send all."""

    def receive(self, size: int) -> bytes:
        """Exactly so many."""

    def close(self) -> None:
        """End it."""


class NodeSession:
    """Requests to the pod of one node; for several threads, one request at a time.

    Args:
        node: its name, for messages.
        connect: opens a stream to `nodepod`, with patience; in a new pod if need be.
    """

    def __init__(
        self,
        node: str,
        connect: Callable[[], Stream],
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.node = node
        self._connect = connect
        self._sleep = sleep
        self._clock = clock
        self._stream: Stream | None = None
        self._lock = threading.Lock()

    def ask(self, op: str, payload: bytes = b"", **fields: Any) -> tuple[Header, bytes]:
        """Header and payload of the answer.

        Raises:
            FileNotFoundError, FileExistsError: of the path asked for.
            TransientError: the node stays away, or its disk failed.
            ConfigError: the node's folder may not be used.
            IntegrityError: the answer is none.
            PpmlError: evidence was refused.
        """
        with self._lock:
            header, data = self._patiently(op, payload, fields)
        if header.get("ok") is not True:
            raise self._refusal(header, str(fields.get("path", "")))
        return header, data

    def _patiently(self, op: str, payload: bytes, fields: Header) -> tuple[Header, bytes]:
        pause, why = _FIRST_PAUSE, ""
        for tried in range(_TRIES):
            again = {"again": True} if tried else {}
            try:
                return self._once(encode_frame({"op": op, **fields, **again}, payload))
            except BadFrameError as error:
                self.close()
                raise self.untrue(f"{error}") from None
            except OSError as error:
                why = str(error)
                self.close()
                if tried:
                    self._sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        raise TransientError(
            f"the pod on node {self.node} gives no answer ({shown(why, 300)})",
            next_step="look at node and pod; the task tries again",
        )

    def _once(self, request: bytes) -> tuple[Header, bytes]:
        if self._stream is None:
            self._stream = self._connect()
            hello, _ = read_frame(self._stream.receive)
            if hello.get("version") != VERSION:
                raise BadFrameError(f"it speaks {shown(hello.get('version'), 40)}, not {VERSION}")
        self._stream.send(request)
        deadline = self._clock() + _BUSY_SECONDS
        while True:
            header, data = read_frame(self._stream.receive)
            if "busy" not in header:
                return header, data
            if self._clock() > deadline:
                self.close()
                raise TransientError(
                    f"the pod on node {self.node} is busy with one request for more than an hour",
                    next_step="look at the disk of that node; the task tries again",
                )

    def close(self) -> None:
        """End the session; the next request opens one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def number(self, header: Header, name: str) -> int:
        """A length that the answer names. Raises IntegrityError when it is none."""
        value = header.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MAX_NUMBER:
            raise self.untrue(f"no {name} in it")
        return value

    def untrue(self, why: str) -> IntegrityError:
        """The error for an answer that can't be one."""
        return IntegrityError(
            f"the pod on node {self.node} answered what it was not asked: {shown(why, 200)}",
            who="the operator",
            next_step="check that its image is the orchestrator's version, and who else runs on that node",
        )

    def _refusal(self, header: Header, path: str) -> Exception:
        why = shown(header.get("why", ""), 600)
        match header.get("error"):
            case "missing":
                return FileNotFoundError(path)
            case "exists":
                return FileExistsError(path)
            case "refused" if isinstance(header.get("code"), int):
                return error_from_exit_code(
                    header["code"], f"node {self.node}: {why}", next_step=shown(header.get("step", ""), 300)
                )
        what = f"node {self.node} can't do that with {path or 'its folder'}: {why}"
        if why.partition(":")[0] in _FORBIDDEN:
            return ConfigError(what, next_step="let `ppml-ops cluster setup` prepare the node's folder")
        return TransientError(what, next_step="check the disk of that node; the task tries again")

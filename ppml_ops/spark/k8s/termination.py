"""What a pod leaves behind: one JSON line where the kubelet looks for a container's last words."""

import json
from contextlib import suppress
from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")
MAX_BYTES = 2048
#: Bytes of JSON that one character can take.
_LONGEST = 12


def termination_message(exit_code: int, application_id: str | None, line: str | None) -> bytes:
    """`{"exit_code", "application_id", "line"}`; the line is cut so that all of it fits into 2 KiB."""
    document = {"exit_code": exit_code, "application_id": application_id, "line": line}
    data = _encoded(document)
    while len(data) > MAX_BYTES and line:
        line = line[: -max(1, (len(data) - MAX_BYTES) // _LONGEST)]
        data = _encoded(document | {"line": f"{line}…"})
    return data


def _encoded(document: dict[str, int | str | None]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def leave_message(message: bytes, path: Path = TERMINATION_LOG) -> None:
    """Write it; a pod whose last words can't be kept ends all the same."""
    with suppress(OSError):
        path.write_bytes(message)

"""Whether folders that will hold secrets and plaintext are in memory, as the kernel says."""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ppml_ops.errors import DeniedError

_OCTAL = re.compile(r"\\([0-7]{3})")


def check_in_memory(mountinfo: str, folders: Iterable[str]) -> None:
    """Refuse folders that are not memory of this pod: whoever makes pods says what is mounted where.

    Args:
        mountinfo: content of /proc/self/mountinfo; see proc(5).
        folders: absolute paths, each of which must be a mount point of its own.

    Raises:
        DeniedError: one is none, is of another type than tmpfs, or has another mount above or below it.
    """
    mounts = list(_mounts(mountinfo))
    for folder in folders:
        if (why := _problem(mounts, PurePosixPath(folder))) is not None:
            raise DeniedError(
                f"this pod was not made as it should be: {folder} {why}, so what lies there could be read",
                who="the operator",
                next_step="find out who makes or changes pods in this namespace",
            )


def _problem(mounts: list[tuple[PurePosixPath, str]], folder: PurePosixPath) -> str | None:
    on_the_way = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    if not on_the_way or on_the_way[-1] != (folder, "tmpfs"):  # the last one hides those before it
        return "is not in memory"
    if any(point != folder and point.is_relative_to(folder) for point, _ in mounts):
        return "has something mounted in it"
    return None


def _mounts(mountinfo: str) -> Iterator[tuple[PurePosixPath, str]]:
    """Mount point and type of each line that has both."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if len(fields) > 4 and kind:
            yield PurePosixPath(_OCTAL.sub(lambda hit: chr(int(hit[1], 8)), fields[4])), kind

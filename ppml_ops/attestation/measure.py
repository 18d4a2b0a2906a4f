"""What a TD measures before it runs a job: the runner, the job with its code, and the event log of both.

The same functions serve the owner (who signs the job digest), a measured launcher in a TD and the simulated TD.
Source of the extension rule: Intel TDX module, `RTMR = SHA384(RTMR || digest)`, starting from 48 zero bytes.
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

import ppml_ops
from ppml_ops.attestation.errors import EventLogError
from ppml_ops.canonical import canonical_json, sha384_hex
from ppml_ops.errors import ConfigError

MAX_CODE_FILES = 10_000
MAX_CODE_BYTES = 1 << 30
MAX_JOB_BYTES = 1 << 20
MAX_EVENT_LOG_BYTES = 256 * 1024
MAX_EVENTS = 4096

RUNNER_EVENT: Final = "ppml-ops/runner"
JOB_EVENT: Final = "ppml-ops/job"
JOB_IMR: Final = 3
RTMR_START: Final = bytes(48)

#: Extension modules and stray bytecode too: Python would run them in the place of sources.
_RUNNER_SUFFIXES = (".py", ".java", ".so", ".pyc")
_JARS = "share/ppml-ops/ppml-ops-spark-*.jar"


class Event(BaseModel):
    """One extension of one RTMR. Names are not covered by the digest; only order and digests are."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    imr: int = Field(ge=0, le=3)
    event: str = Field(max_length=256)
    digest: str = Field(pattern=r"^[0-9a-f]{96}$")


_EVENTS = TypeAdapter(list[Event])


def code_digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's lines "relative path NUL sha256 LF", sorted by path; 64 hex digits.

    Every file counts, `__pycache__` too: Python may run what lies there.

    Raises:
        ConfigError: nothing at `path`, special files, links that lead outside or to folders, or too much of it.
    """
    if path.is_dir():
        return _folder_digest(path, lambda _name: True, "sha256")
    return _file_digest(path, path.resolve().parent, "sha256")[0]


def runner_digest(package: Path | None = None, prefix: Path | None = None) -> str:
    """SHA-384 over path and content of all code of the installed package, Spark jars included; 96 hex digits.

    Not the `__pycache__` folders: whoever runs the package in a TEE starts Python with another place for
    bytecode (`-X pycache_prefix`). The jars must be built (`python -m ppml_ops.spark.jvm.build`) before anyone
    asks for this digest.

    Args:
        package: the folder `ppml_ops` of an installation; default: the one that runs here.
        prefix: where its jars lie, under `share`; default: this interpreter's `sys.prefix`.

    Raises:
        ConfigError: a part of it can't be read, or is a link that leads outside.
    """
    root = (package or Path(ppml_ops.__file__).parent).resolve()
    sources = _folder_digest(root, _is_runner_code, "sha384")
    inside = (prefix or Path(sys.prefix)).resolve()
    jars = [f"{jar.name}\0{_file_digest(jar, inside, 'sha384')[0]}\n" for jar in runner_jars(inside)]
    return sha384_hex("".join([f"{sources}\n", *jars]).encode())


def runner_jars(prefix: Path) -> list[Path]:
    """The jars under `prefix` that `runner_digest` counts, in its order."""
    return sorted(prefix.glob(_JARS))


def _is_runner_code(path: str) -> bool:
    return path.endswith(_RUNNER_SUFFIXES) and not ("__pycache__/" in path and path.endswith(".pyc"))


def measured_job_digest(job_json: bytes, code_path: Path) -> str:
    """SHA-384 of the canonical job, in which `code.digest` is what really lies at `code_path`; 96 hex digits.

    Raises:
        ConfigError: `job_json` is not a job document, or the code can't be measured.
    """
    job = _parse_job(job_json)
    job["code"]["digest"] = code_digest(code_path)
    try:
        return sha384_hex(canonical_json(job))
    except (ValueError, RecursionError) as error:
        raise _bad_job("it has no canonical form") from error


def job_events(job_json: bytes, code_path: Path, runner: str | None = None) -> list[Event]:
    """The two RTMR3 events of a TD that runs this job: runner first, then the job.

    Args:
        job_json: the job document.
        code_path: its code bundle.
        runner: digest of another installation than the one that runs here.
    """
    return [
        Event(imr=JOB_IMR, event=RUNNER_EVENT, digest=runner or runner_digest()),
        Event(imr=JOB_IMR, event=JOB_EVENT, digest=measured_job_digest(job_json, code_path)),
    ]


def encode_event_log(events: Sequence[Event]) -> bytes:
    """`events` as the canonical JSON list that travels beside a quote."""
    return canonical_json([event.model_dump() for event in events])


def parse_event_log(data: bytes) -> list[Event]:
    """The events of a log; unknown members of an event (other log writers have some) are ignored.

    Raises:
        EventLogError: too large, not JSON, or not a list of events.
    """
    if len(data) > MAX_EVENT_LOG_BYTES:
        raise EventLogError(f"the event log has {len(data)} bytes, more than {MAX_EVENT_LOG_BYTES}")
    try:
        events = _EVENTS.validate_json(data)
    except ValidationError as error:
        raise EventLogError("the event log is not a JSON list of {imr, event, digest}") from error
    if len(events) > MAX_EVENTS:
        raise EventLogError(f"the event log has {len(events)} events, more than {MAX_EVENTS}")
    return events


def replay(events: Sequence[Event], imr: int) -> bytes:
    """The 48 bytes that RTMR `imr` holds after these events."""
    value = RTMR_START
    for event in events:
        if event.imr == imr:
            value = hashlib.sha384(value + bytes.fromhex(event.digest)).digest()
    return value


def _parse_job(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_JOB_BYTES:
        raise _bad_job(f"it has {len(data)} bytes, more than {MAX_JOB_BYTES}")
    try:
        job = json.loads(data, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise _bad_job("it is not JSON, or has a member twice") from error
    if not isinstance(job, dict) or not isinstance(job.get("code"), dict):
        raise _bad_job("it has no code bundle")
    return job


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate member")
    return result


def _bad_job(why: str) -> ConfigError:
    return ConfigError(f"the job document can't be measured: {why}", next_step="build the job again")


def _folder_digest(root: Path, wanted: Callable[[str], bool], algorithm: str) -> str:
    total = hashlib.new(algorithm)
    size = 0
    names = sorted(_walk(root, wanted))
    if len(names) > MAX_CODE_FILES:
        raise _bad_code(f"it has more than {MAX_CODE_FILES} files")
    inside = root.resolve()
    for name in names:
        digest, length = _file_digest(root / os.fsdecode(name), inside, algorithm)
        size += length
        if size > MAX_CODE_BYTES:
            raise _bad_code(f"it has more than {MAX_CODE_BYTES} bytes")
        total.update(name + b"\0" + digest.encode("ascii") + b"\n")
    return total.hexdigest()


def _walk(root: Path, wanted: Callable[[str], bool]) -> Iterator[bytes]:
    """Relative paths as bytes with '/' between the parts; folders are not followed through links."""
    for folder, folders, names in os.walk(root, onerror=_raise):
        here = Path(folder)
        for name in folders:
            if (here / name).is_symlink():
                raise _bad_code(f"{name!r} is a link to a folder")
        for name in names:
            path = (here / name).relative_to(root).as_posix()
            if wanted(path):
                yield os.fsencode(path)


def _raise(error: OSError) -> NoReturn:
    raise _bad_code(f"it can't be read ({error.strerror})") from error


def _file_digest(path: Path, inside: Path, algorithm: str) -> tuple[str, int]:
    """Digest and length of one regular file whose real place lies under `inside`."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(inside):
            raise _bad_code(f"{path.name!r} is a link that leads outside")
        # O_NONBLOCK: opening a named pipe must not wait for a writer; O_NOFOLLOW: no link put there meanwhile.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _bad_code(f"{path.name!r} is not a regular file")
            if status.st_size > MAX_CODE_BYTES:
                raise _bad_code(f"it has more than {MAX_CODE_BYTES} bytes")
            return hashlib.file_digest(file, algorithm).hexdigest(), status.st_size
    except (OSError, RuntimeError) as error:
        raise _bad_code(f"{path.name!r} can't be read ({type(error).__name__})") from error


def _bad_code(why: str) -> ConfigError:
    return ConfigError(
        f"the code can't be measured: {why}",
        who="the author of the workload",
        next_step="give a file, or a folder of regular files without links that leave it",
    )

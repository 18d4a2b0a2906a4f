"""Measures job, code and runner as the asking process sees them, also from another container.

A process in a container of its own has other files at the same paths. Then a helper process goes into its root
folder (chroot, so that links lead where they lead for that process), takes its user and groups, and measures
there. The runner is the `ppml_ops` of the environment whose interpreter the kernel says is running.

What no simulation can prove: argv[0] is chosen by whoever starts a process, and that the interpreter really
runs the package beside it is only assumed. On real hardware the whole image is measured before it runs.
"""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import BoundedSemaphore

from ppml_ops.attestation.measure import (
    MAX_JOB_BYTES,
    Event,
    encode_event_log,
    job_events,
    parse_event_log,
    runner_digest,
)
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, DeniedError, PpmlError, TransientError
from ppml_sim.peers import Process, sees_same_files

_PACKAGES = "lib/python3.*/site-packages/ppml_ops"
_MAX_ARGUMENT = 4096
_SECONDS = 60
#: Each helper is an interpreter of its own; all executors of a job may ask at once.
_AT_ONCE = BoundedSemaphore(4)


def measure_as_seen(process: Process, job: Path, code: Path) -> tuple[Event, ...]:
    """The events of a TD that runs what `process` sees at these paths now.

    Raises:
        ConfigError: job, code or runner can't be read or measured.
        DeniedError: the process has ended, or can't be looked at.
        TransientError: measuring took too long.
    """
    try:
        here = sees_same_files(process)
    except OSError as error:
        raise _unseen(f"({error.strerror})") from None
    return _measure(job, code) if here else _measure_there(process, job, code)


def _measure(job: Path, code: Path, runner: str | None = None) -> tuple[Event, ...]:
    try:
        document = _job_document(job)
    except OSError as error:
        raise ConfigError(
            f"the job document can't be read ({error.strerror})", next_step="give the path of job.json"
        ) from error
    return tuple(job_events(document, code, runner))


def _job_document(path: Path) -> bytes:
    """Links are followed; a pipe, which nobody may ever write to, is not waited for.

    Raises:
        ConfigError: not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError("the job document is no regular file", next_step="give the path of job.json")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_JOB_BYTES + 1)
    finally:
        os.close(descriptor)


def _measure_there(process: Process, job: Path, code: Path) -> tuple[Event, ...]:
    proc = Path(f"/proc/{process.pid}")
    descriptors: list[int] = []
    try:
        descriptors += [os.open(proc / name, os.O_PATH) for name in ("root", "exe")]
        with (proc / "cmdline").open("rb") as file:
            python = os.fsdecode(file.read(_MAX_ARGUMENT).split(b"\0")[0])
        request = {
            "python": python,
            "job": str(job),
            "code": str(code),
            "ids": _ids((proc / "status").read_text()),
            "root": descriptors[0],
            "exe": descriptors[1],
        }
        if not process.alive:  # what was opened could be of a later process with this pid
            raise _unseen("(it has ended)")
        return _ask_helper(request, descriptors)
    except OSError as error:
        raise _unseen(f"({error.strerror})") from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _ask_helper(request: dict[str, object], descriptors: list[int]) -> tuple[Event, ...]:
    try:
        with _AT_ONCE:
            result = subprocess.run(
                [sys.executable, "-I", "-m", "ppml_sim.container"],
                input=json.dumps(request).encode(),
                capture_output=True,
                pass_fds=descriptors,
                timeout=_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise TransientError("measuring took too long", next_step="try again") from None
    if result.returncode != 0:
        said = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ConfigError(
            f"what the asking process sees can't be measured: {said[-1] if said else 'no reason given'}",
            next_step="look at the job's pod; the platform needs root, CAP_SYS_PTRACE and CAP_SYS_CHROOT",
        )
    return tuple(parse_event_log(result.stdout))


def _ids(status: str) -> dict[str, int | list[int]]:
    """Effective user and group and the further groups, out of /proc/<pid>/status."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {
        "uid": int(fields["Uid"].split()[1]),
        "gid": int(fields["Gid"].split()[1]),
        "groups": [int(group) for group in fields["Groups"].split()],
    }


def _unseen(why: str) -> DeniedError:
    return DeniedError(
        f"the asking process can't be looked at {why}",
        who="the operator of the platform",
        next_step="ask from a living process; run `ppml-sim serve` as the same user or as root",
    )


def environment_of(python: str, exe: os.stat_result) -> tuple[Path, Path]:
    """Package folder and prefix of the environment that an interpreter runs from.

    Raises:
        ConfigError: `python` is not the file that runs, or has no `ppml_ops` beside it.
    """
    path = Path(python)
    if not path.is_absolute() or ".." in path.parts or not os.path.samestat(path.stat(), exe):
        raise ConfigError(
            f"{python[:200]!r} is not the interpreter that runs",
            next_step="start the process with the absolute path of its environment's interpreter",
        )
    prefix = path.parent.parent
    packages = sorted(prefix.glob(_PACKAGES))
    if len(packages) != 1:
        raise ConfigError(f"{prefix} has no ppml_ops installed", next_step="use an image of PPML Ops")
    return packages[0], prefix


def _help() -> None:
    """The helper process: request on stdin, event log on stdout."""
    request = json.load(sys.stdin)
    exe = os.fstat(request["exe"])
    canonical_json({"": 0})  # loads the codec of its sort order while ours can be found
    sys.meta_path.clear()  # from here on an import would find the container's files
    os.fchdir(request["root"])
    os.chroot(".")
    os.chdir("/")
    ids = request["ids"]
    os.setgroups(ids["groups"])
    os.setresgid(ids["gid"], ids["gid"], ids["gid"])
    os.setresuid(ids["uid"], ids["uid"], ids["uid"])
    runner = runner_digest(*environment_of(request["python"], exe))
    events = _measure(Path(request["job"]), Path(request["code"]), runner)
    sys.stdout.buffer.write(encode_event_log(events))


if __name__ == "__main__":
    try:
        _help()
    except PpmlError as error:
        sys.exit(error.what)
    except OSError as error:
        sys.exit(f"{error.filename or 'the container'}: {error.strerror}")

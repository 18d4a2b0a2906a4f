"""What the owner's stages remember of a run in the owner's own folder, where the orchestrator can't write.

Stage records lie with the orchestrator: good enough to drive a run and to notice mistakes, but whoever changes
one must not make the owner sign a ticket for an older input or take an older result for this run's.
"""

import json
from typing import Any

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import file_lock, private_dir, write_private
from ppml_ops.lifecycle.run import Run


def remember(run: Run, **notes: Any) -> None:
    """Add `notes` (JSON values) to those of the run, replacing ones of the same name."""
    path = private_dir(run.home / "owner" / "runs") / f"{run.key}.json"
    with file_lock(path.with_suffix(".lock")):
        before = json.loads(path.read_bytes()) if path.exists() else {}
        write_private(path, canonical_json(before | notes))


_MUST_BE_THERE = object()


def recall(run: Run, name: str, stage: str, *, default: Any = _MUST_BE_THERE) -> Any:
    """The note `name`, which `stage` made; `default`, if given, where there is none.

    Raises:
        ConfigError: that stage has not run here.
        IntegrityError: the notes can't be read.
    """
    path = run.home / "owner" / "runs" / f"{run.key}.json"
    try:
        return json.loads(path.read_bytes())[name]
    except (FileNotFoundError, KeyError):
        if default is not _MUST_BE_THERE:
            return default
        raise ConfigError(
            f"the owner's side has no note of {stage} in run {run.key}",
            next_step=f"clear the task `{stage}`, and run all owner stages where the owner's folder is",
        ) from None
    except ValueError:
        raise IntegrityError(
            f"the owner's notes of run {run.key} can't be read", next_step=f"remove {path} and clear the run"
        ) from None

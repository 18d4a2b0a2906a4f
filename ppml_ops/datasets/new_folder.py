"""A folder of plaintext or parts that appears whole or not at all, under a hidden name while it is written."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir

#: What is going on, as it stands in the hidden name: `.result.opening`.
Act = Literal["opening", "writing"]
_CAN_NOT = {"opening": "open into", "writing": "write"}


def refuse_existing(target: Path) -> None:
    """Raise ConfigError when `target` exists: nothing is ever written over."""
    if target.exists():
        raise ConfigError(f"{target} exists", next_step="name a new folder, or remove this one")


@contextmanager
def whole_folder(target: Path, act: Act) -> Iterator[Path]:
    """A hidden folder (0700) beside `target` that takes its name when the block ends well, and goes if not.

    What a killed process left under the hidden name is removed first.
    """
    hidden = target.with_name(f".{target.name}.{act}")
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        private_dir(hidden)
        yield hidden
        hidden.rename(target)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


@contextmanager
def new_folder(target: Path, act: Act) -> Iterator[Path]:
    """As `whole_folder`; an OSError inside becomes a ConfigError that names `target` and the file."""
    try:
        with whole_folder(target, act) as hidden:
            yield hidden
    except OSError as error:
        raise ConfigError(
            f"can't {_CAN_NOT[act]} {target}: {error.filename or 'a file'}: {error.strerror or error}",
            next_step="check the path, its rights and the free space",
        ) from None

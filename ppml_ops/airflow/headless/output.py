"""Send what a task prints to the log file where Airflow's UI looks for it, instead of the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ppml_ops.files import private_dir


def log_path(base: Path, task_instance: Any) -> Path:
    """File of one try, by Airflow's default `[logging] log_filename_template`."""
    folder = base / f"dag_id={task_instance.dag_id}" / f"run_id={task_instance.run_id}"
    folder /= f"task_id={task_instance.task_id}"
    if task_instance.map_index >= 0:
        folder /= f"map_index={task_instance.map_index}"
    return folder / f"attempt={task_instance.try_number}.log"


@contextmanager
def redirected(path: Path) -> Iterator[None]:
    """Both output streams of this process and its children go to `path` (0600) inside the block."""
    private_dir(path.parent)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    saved = [(number, os.dup(number)) for number in (1, 2)]
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, _copy in saved:
            os.dup2(target, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in saved:
            os.dup2(copy, number)
            os.close(copy)
        os.close(target)

"""Several files at a time, and what their threads share."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

#: Files at a time; a large sealed one uses two threads of its own besides.
FILES_AT_A_TIME = 2
Progress = Callable[[int], None]
_Result = TypeVar("_Result")


def one_at_a_time(progress: Progress) -> Progress:
    """`progress` for calls from several threads."""
    lock = threading.Lock()

    def locked(done: int) -> None:
        with lock:
            progress(done)

    return locked


def for_each_file(work: Callable[..., _Result], *arguments: Iterable[Any]) -> list[_Result]:
    """`work` for each set of arguments, as by `map`; the first failure is raised, and nothing more is begun."""
    pool = ThreadPoolExecutor(FILES_AT_A_TIME)
    try:
        return list(pool.map(work, *arguments))
    finally:
        pool.shutdown(cancel_futures=True)

"""Kill a process before exactly one of its effects on the outside world: a write, a rename, a start, a call.

Python's audit events (PEP 578) tell of every such effect, so no product code has to know about crash tests, and
no effect is left out because nobody thought of it.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

_CHANGES = {
    "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.chmod",
    "os.kill", "os.killpg", "shutil.rmtree", "subprocess.Popen", "socket.connect", "http.client.send",
}  # fmt: skip


def _changes_something(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in _CHANGES


def killed_before_effect(number: int, work: Callable[[], None]) -> bool:
    """Do `work` in a forked child that is killed (SIGKILL) before its effect `number`, counted from 1.

    Returns:
        True: it was killed there. False: it had fewer effects and has come to its end.

    Raises:
        AssertionError: it failed by an exception instead.
    """
    child = os.fork()
    if child == 0:
        _work_until(number, work)
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"ended by signal {os.WTERMSIG(status)}"
        return True
    assert os.waitstatus_to_exitcode(status) == 0, f"failed before its effect {number}; see its traceback above"
    return False


def _work_until(number: int, work: Callable[[], None]) -> None:
    done = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if _changes_something(event, arguments):
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(count)
        work()
    except BaseException:  # noqa: BLE001  # a forked child must not return into pytest
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

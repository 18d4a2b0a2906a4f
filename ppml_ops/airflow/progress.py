"""Progress of long copies as log lines: at most one every few seconds, and one at the end of a gigabyte."""

import time
from collections.abc import Callable

_SECONDS = 5.0


class LogProgress:
    """Callable that sums up bytes and says now and then how far it is.

    Args:
        say: a log function with %-formatting.
        verb: what is being done, in the past: `sealed`.
    """

    def __init__(self, say: Callable[..., None], verb: str) -> None:
        self._say = say
        self._verb = verb
        self._bytes = 0
        self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        """Count `done` more bytes."""
        self._bytes += done
        now = time.monotonic()
        if now - self._last >= _SECONDS:
            self._last = now
            self._say("%s %.0f MB so far", self._verb, self._bytes / 1e6)

"""What makes the input of a run that brings none of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Generator(NamedTuple):
    """`write` fills the new file it is given; `spec` is JSON data that says what it will hold."""

    spec: dict[str, Any]
    write: Callable[[Path], None]

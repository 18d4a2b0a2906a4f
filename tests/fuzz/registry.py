"""Which fuzz targets there are: every module of `tests/fuzz/targets`, with its seeds in `tests/fuzz/corpus`.

A target has `run(data)`, which hands bytes of strangers to real code and swallows `PpmlError` alone: any other
exception, a hang, or memory without end is a bug.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
Run = Callable[[bytes], None]


def names() -> list[str]:
    """All targets, sorted."""
    return sorted(path.stem for path in (HERE / "targets").glob("*.py") if path.stem != "__init__")


def load(name: str) -> Run:
    """The `run` of a target."""
    run: Run = import_module(f"tests.fuzz.targets.{name}").run
    return run


def seeds(name: str) -> list[Path]:
    """The files of a target's corpus, sorted."""
    folder = CORPUS / name
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []

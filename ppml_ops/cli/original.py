"""`ppml-ops data` on data sets of BigDL PPML: what the commands do once they know the format."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table

from ppml_ops.cli.options import bytes_bar, console, home, plain, show_json
from ppml_ops.datasets.bigdl.parts import OriginalPart
from ppml_ops.datasets.bigdl.writing import write_folder
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.original import Original, look, open_original, verify_original
from ppml_ops.datasets.pme.survey import PmeSurvey
from ppml_ops.datasets.pme.writing import write_pme
from ppml_ops.datasets.seal import find_sources
from ppml_ops.errors import ConfigError
from ppml_ops.keys.original import OriginalKeys, original_keys_for


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print what modules log as a warning on stderr, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("warning: %(message)s"))
    logger = logging.getLogger("ppml_ops")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def keys_for(key: str | None) -> OriginalKeys:
    """The primary key named by an option. Raises ConfigError when there is none."""
    if key is None:
        raise ConfigError(
            "this is a data set of BigDL PPML, and its key is not said",
            next_step="name the primary key file that it was made with: simple:/folder/primaryKey",
        )
    with warnings_shown():
        return original_keys_for(key, home=home())


def found_in(source: str, *, doubts: bool = True) -> Original:
    """Survey of a folder; its notes, and its doubts too, go to stderr."""
    found = look(Folder(source))
    for line in (*found.notes, *(found.doubts if doubts else ())):
        print(f"warning: {line}", file=sys.stderr)
    return found


def open_into(source: str, key: str | None, target: Path) -> None:
    """`data open`: what is no part is left out with a warning."""
    found, keys = found_in(source), keys_for(key)
    with bytes_bar() as bar:
        task = bar.add_task("opening", total=sum(part.length for part in found.parts))
        files = open_original(found, keys, target, lambda done: bar.advance(task, done))
    console().print(f"opened {len(files)} files of BigDL PPML into {target}", soft_wrap=True)


def verify(source: str, key: str | None) -> None:
    """`data verify`: what `open` warns of is an error."""
    found, keys = found_in(source, doubts=False), keys_for(key)
    with bytes_bar() as bar:
        task = bar.add_task("verifying", total=sum(part.length for part in found.parts))
        verify_original(found, keys, lambda done: bar.advance(task, done))
    proven = "and their tags are right" if found.authenticated else "but their format can't show changes"
    console().print(f"{len(found.parts)} parts of BigDL PPML open, {proven}")


def show(source: str, as_json: bool) -> None:
    """`data show`: what can be told without a key."""
    found = found_in(source) if not as_json else look(Folder(source))
    parts = [
        {"name": part.name, "bytes": part.length, "protection": _protection(found, part)}
        for part in found.parts
    ]
    if as_json:
        show_json(
            {
                "format": "pme" if isinstance(found, PmeSurvey) else "bigdl",
                "content": found.form,
                "parts": parts,
                "doubts": list(found.doubts),
                "notes": list(found.notes),
            }
        )
        return
    console().print("BigDL PPML, weak by its format  (not authenticated)")
    table = Table("part", "bytes", "protection")
    for part in parts:
        table.add_row(plain(part["name"]), f"{part['bytes']:,}", str(part["protection"]))
    console().print(table)


def _protection(found: Original, part: object) -> str:
    if isinstance(found, PmeSurvey):
        return str(getattr(part, "algorithm", ""))
    if found.native:
        return "AES-CBC, no tag"
    return "AES-CBC, HMAC" if isinstance(part, OriginalPart) and part.length else "none: empty"


def seal(source: str, key: str, target: str, form: str) -> None:
    """`data seal --format bigdl|pme`: a folder that BigDL PPML reads."""
    folder = Folder(target)
    if not folder.is_local:
        raise ConfigError(
            f"{target} is not a local folder", next_step="write it to a local folder and copy it from there"
        )
    sources, keys = find_sources(source), keys_for(key)
    write = write_pme if form == "pme" else write_folder
    with bytes_bar() as bar:
        task = bar.add_task("encrypting", total=sum(one.length for one in sources))
        names = write(sources, keys, folder.local(), lambda done: bar.advance(task, done))
    console().print(f"wrote {len(names)} parts for BigDL PPML into {target}", soft_wrap=True)

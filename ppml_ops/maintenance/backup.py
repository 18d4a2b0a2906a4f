"""Backup of a state folder: keys, trust domain, audit chain, records and receipts; never plaintext."""

import io
import json
import os
import re
import sqlite3
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.store import MANIFESTS
from ppml_ops.errors import ConfigError
from ppml_ops.maintenance.archive import writing

INVENTORY = "backup.json"
AUDIT = "broker/audit.jsonl"
#: Folders of the state folder that are kept, in the order in which they are copied: whatever was sealed before
#: its folder was copied has its wrapped key's secret in a key folder that is copied later.
#: Not: plaintext, nodes, logs, locks.
STORAGE = "storage"
BEFORE_KEYS = ("airflow", "profiles", "receipts", "runs")
KEY_FOLDERS = ("sim", "owner", "keys", "broker")
KEPT = (*BEFORE_KEYS, *KEY_FOLDERS)
#: Files beside them.
KEPT_FILES = ("retention.yaml",)
#: Outside the storage, where names are the data's.
_PASSING = re.compile(
    r"(.*/)?(lock|[^/]*\.lock|endpoint\.json|\.[^/]*\.[0-9a-f]{16})|airflow/.*\.db-(wal|shm|journal)"
)
_DATABASE = re.compile(r"airflow/.*\.db")
_SKIPPED_FOLDERS = re.compile(r"airflow/logs|sim/td|runs/[^/]+/g[0-9]+/(work|code)")
_SHOWN = 5


class BackedUp(NamedTuple):
    """What a backup holds."""

    files: int
    bytes: int
    trust_domain: str | None


def back_up(home: Path, target: Path, passphrase: bytes, *, now: int, with_data: bool = False) -> BackedUp:
    """Write the state folder `home` into the encrypted file `target`; services and runs may go on meanwhile.

    The audit log goes first, up to its last whole line, so that whatever it names is in the backup too.
    Key folders go last, so that every version in the backup can be opened with it.
    Airflow's database is copied by SQLite's own backup; every other file is replaced as a whole by its writers.

    Args:
        now: Unix seconds.
        with_data: also the sealed data sets in `storage/`.

    Raises:
        ConfigError: there is nothing to back up, something in it can't be saved, or `target` can't be written.
    """
    domain = _trust_domain(home)
    if not any((home / name).is_dir() for name in KEPT):
        raise ConfigError(f"{home} holds no state", next_step="set PPML_OPS_HOME to the state folder")
    if target.absolute().is_relative_to(home.absolute()):
        raise ConfigError(
            "a backup does not belong into the folder that it saves", next_step="name another one"
        )
    kept = (*BEFORE_KEYS, *((STORAGE,) if with_data else ()), *KEY_FOLDERS)
    problems: list[str] = []
    for _name in _names(home, kept, problems):
        pass  # before hours of copying
    _refuse(problems)
    files = size = 0
    try:
        with writing(target, passphrase) as tar:
            inventory = {"ppml": "backup/1", "made": now, "home": str(home), "trust_domain": domain}
            _add(tar, INVENTORY, canonical_json(inventory), 0o600)
            for name in _names(home, kept, problems):
                added = _add_file(tar, home, name)
                files += added is not None
                size += added or 0
            _refuse(problems)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"the backup was not written: {error}", next_step="check the rights and the free space of the disk"
        ) from None
    return BackedUp(files, size, domain)


def _names(home: Path, kept: tuple[str, ...], problems: list[str]) -> Iterator[str]:
    """Files to save; what can't be saved goes to `problems`. Manifests go before their parts."""
    yield from (name for name in (AUDIT, *KEPT_FILES) if (home / name).is_file())
    for top in kept:
        if top == STORAGE:
            yield from (path for path in _walk(home, top, problems) if _is_manifest(path))
            yield from (path for path in _walk(home, top, problems) if not _is_manifest(path))
        else:
            files = _walk(home, top, problems)
            yield from (path for path in files if path != AUDIT and not _PASSING.fullmatch(path))


def _is_manifest(path: str) -> bool:
    return path.split("/")[-2] == MANIFESTS


def _walk(home: Path, top: str, problems: list[str]) -> Iterator[str]:
    """All files below. Folders that can't be read and symbolic links, which are not saved, are problems."""

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or Path(error.filename).is_symlink():
            problems.append(f"{error.filename} ({error.strerror})")

    for folder, folders, files in os.walk(home / top, onerror=unreadable):
        here = Path(folder).relative_to(home).as_posix()
        folders[:] = sorted(name for name in folders if not _SKIPPED_FOLDERS.fullmatch(f"{here}/{name}"))
        links = (name for name in (*folders, *files) if Path(folder, name).is_symlink())
        problems += [f"{folder}/{name} (a symbolic link)" for name in sorted(links)]
        yield from (f"{here}/{name}" for name in sorted(files))


def _refuse(problems: list[str]) -> None:
    named = list(dict.fromkeys(problems))
    if named:
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        raise ConfigError(
            f"the backup would not be whole, it can't save {', '.join(named[:_SHOWN])}{more}",
            next_step="make these readable, replace links by what they name, or move them elsewhere",
        )


def _add_file(tar: tarfile.TarFile, home: Path, name: str) -> int | None:
    """Its bytes; None when it went away meanwhile or is no plain file."""
    path = home / name
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        if _DATABASE.fullmatch(name):
            return _add(tar, name, _database(path), 0o600)
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if name == AUDIT:
                return _add(tar, name, _whole_lines(file.read()), status.st_mode)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = status.st_size, status.st_mode & 0o777, int(status.st_mtime)
            tar.addfile(entry, file)
            return status.st_size
    except FileNotFoundError:
        return None


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> int:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode & 0o777
    tar.addfile(entry, io.BytesIO(data))
    return len(data)


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _database(path: Path) -> bytes:
    with tempfile.TemporaryDirectory(prefix="ppml-backup-") as folder:
        copy = Path(folder) / "copy.db"
        source, target = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True), sqlite3.connect(copy)
        try:
            source.backup(target)
        finally:
            target.close()
            source.close()
        return copy.read_bytes()


def _trust_domain(home: Path) -> str | None:
    try:
        return str(json.loads((home / "broker" / "domain.json").read_bytes())["trust_domain"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

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
from ppml_ops.errors import ConfigError
from ppml_ops.maintenance.archive import writing

INVENTORY = "backup.json"
AUDIT = "broker/audit.jsonl"
#: Folders of the state folder that are kept. Not: plaintext, nodes, logs, locks.
KEPT = ("broker", "owner", "keys", "sim", "receipts", "runs", "profiles", "airflow")
#: Files beside them.
KEPT_FILES = ("retention.yaml",)
_PASSING = re.compile(r"(.*/)?(lock|[^/]*\.lock|endpoint\.json|\.[^/]*\.[0-9a-f]{16}|.*\.db-(wal|shm|journal))")
_SKIPPED_FOLDERS = re.compile(r"airflow/logs|sim/td|runs/[^/]+/g[0-9]+/(work|code)")


class BackedUp(NamedTuple):
    """What a backup holds."""

    files: int
    bytes: int
    trust_domain: str | None


def back_up(home: Path, target: Path, passphrase: bytes, *, now: int, with_data: bool = False) -> BackedUp:
    """Write the state folder `home` into the encrypted file `target`; services and runs may go on meanwhile.

    The audit log goes first, up to its last whole line, so that whatever it names is in the backup too.
    Airflow's database is copied by SQLite's own backup; every other file is replaced as a whole by its writers.

    Args:
        now: Unix seconds.
        with_data: also the sealed data sets in `storage/`.

    Raises:
        ConfigError: there is nothing to back up, or `target` can't be written.
    """
    domain = _trust_domain(home)
    if not any((home / name).is_dir() for name in KEPT):
        raise ConfigError(f"{home} holds no state", next_step="set PPML_OPS_HOME to the state folder")
    if target.absolute().is_relative_to(home.absolute()):
        raise ConfigError(
            "a backup does not belong into the folder that it saves", next_step="name another one"
        )
    files = size = 0
    try:
        with writing(target, passphrase) as tar:
            inventory = {"ppml": "backup/1", "made": now, "home": str(home), "trust_domain": domain}
            _add(tar, INVENTORY, canonical_json(inventory), 0o600)
            for name in _names(home, (*KEPT, "storage") if with_data else KEPT):
                added = _add_file(tar, home, name)
                files += added is not None
                size += added or 0
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"the backup was not written: {error}", next_step="check the rights and the free space of the disk"
        ) from None
    return BackedUp(files, size, domain)


def _names(home: Path, kept: tuple[str, ...]) -> Iterator[str]:
    yield from (name for name in (AUDIT, *KEPT_FILES) if (home / name).is_file())
    for top in kept:
        for folder, folders, files in os.walk(home / top):
            here = Path(folder).relative_to(home).as_posix()
            folders[:] = sorted(name for name in folders if not _SKIPPED_FOLDERS.fullmatch(f"{here}/{name}"))
            for name in sorted(files):
                path = f"{here}/{name}"
                if path != AUDIT and not _PASSING.fullmatch(path):
                    yield path


def _add_file(tar: tarfile.TarFile, home: Path, name: str) -> int | None:
    """Its bytes; None when it went away meanwhile or is no plain file."""
    path = home / name
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        if name.endswith(".db"):
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

"""Restore a backup into an empty state folder: the same keys, trust domain, audit chain and address book.

Everything is written beside the state folder, into `.<name>.restoring`, and takes its place in one step at the
end. After a cut the state folder is as empty as before; the next try begins anew.
"""

import json
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ppml_ops.broker.audit import AuditLog
from ppml_ops.broker.jose import signing_key
from ppml_ops.broker.state import audit_key
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import private_dir
from ppml_ops.maintenance.archive import reading
from ppml_ops.maintenance.backup import INVENTORY, KEPT, KEPT_FILES, STORAGE

RESTORED = "restored"
_ALLOWED = (*KEPT, *KEPT_FILES, STORAGE)


class Restored(NamedTuple):
    """What was restored; `made` is when the backup was made, in Unix seconds."""

    files: int
    made: int
    trust_domain: str | None


def restore(source: Path, home: Path, passphrase: bytes, *, now: int) -> Restored:
    """Restore the backup `source` as the state folder `home`, which must be absent or empty.

    The broker's audit log gets a record of it: what happened after the backup (revoked tickets, uses of
    tickets, destroyed keys) is not known to the restored broker.

    Raises:
        ConfigError: `home` is in use.
        IntegrityError: the backup is damaged, or the passphrase is another one.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise ConfigError(
            f"{home} is not empty", next_step="set PPML_OPS_HOME to a new folder, or move the old one away"
        )
    hidden = home.with_name(f".{home.name}.restoring")
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        private_dir(hidden)
        restored = unpack(source, hidden, passphrase)
        _note_in_audit(hidden, restored, now)
        try:
            hidden.rename(home)
        except OSError as error:
            raise ConfigError(
                f"{home} can't be put in its place: {error.strerror}",
                next_step="restore into a folder that is no mount point, on the same disk as its parent",
            ) from None
    except OSError as error:
        shutil.rmtree(hidden, ignore_errors=True)
        raise ConfigError(
            f"the backup can't be restored beside {home}: {error}",
            next_step="check the rights and the free space of that disk",
        ) from None
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return restored


def unpack(source: Path, folder: Path, passphrase: bytes) -> Restored:
    """Write what the backup holds into the private, empty `folder`; raises as `restore`."""
    inventory: dict[str, object] | None = None
    files = 0
    with reading(source, passphrase) as tar:
        for member in tar:
            if inventory is None:
                inventory = _inventory(tar, member)
                continue
            _write(tar, member, folder)
            files += 1
    if inventory is None:
        raise IntegrityError("the backup is empty", next_step="use another backup", who="the operator")
    domain = inventory.get("trust_domain")
    return Restored(files, int(str(inventory.get("made"))), str(domain) if domain else None)


def _inventory(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, object]:
    file = tar.extractfile(member) if member.isreg() and member.name == INVENTORY else None
    found = json.loads(file.read(1 << 20)) if file else None
    if not isinstance(found, dict) or found.get("ppml") != "backup/1":
        raise IntegrityError(
            "the backup is of another version of PPML Ops",
            next_step="restore it with the version that wrote it",
        )
    return found


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = PurePosixPath(member.name)
    if not member.isreg() or path.is_absolute() or ".." in path.parts or path.parts[0] not in _ALLOWED:
        raise IntegrityError(
            f"the backup holds {member.name[:80]!r}, which does not belong there",
            next_step="find out who made it",
            who="the operator",
        )
    target = folder / path
    for parent in reversed(path.parents[:-1]):
        (folder / parent).mkdir(exist_ok=True, mode=0o700)
    source = tar.extractfile(member)
    assert source is not None  # regular files have content
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o777), "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())


def _note_in_audit(folder: Path, restored: Restored, now: int) -> None:
    broker = folder / "broker"
    if restored.trust_domain is None or not (broker / "audit.jsonl").exists():
        return
    key = audit_key(signing_key(broker / "signing-key.json"))
    log = AuditLog(broker / "audit.jsonl", key, restored.trust_domain, lambda: now)
    try:
        log.append(RESTORED, backup_made=restored.made)
    finally:
        log.close()

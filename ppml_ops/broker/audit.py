"""The broker's audit log: append-only, chained, signed, on disk before anyone is answered.

What happened is counted from here (activations, revocations), so it survives restarts and has one source.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ppml_ops.broker.audit_record import GENESIS, MAX_RECORD, AuditBody, AuditRecord, verify_lines
from ppml_ops.canonical import sha256_hex
from ppml_ops.errors import IntegrityError, TransientError
from ppml_ops.keys.store import require_private

RELEASE = "release"
REVOKED = "ticket-revoked"
WRAP_ERASED = "wrap-erased"
KEY_DESTROYED = "key-destroyed"


def verify_audit(path: Path, public_key: Ed25519PublicKey) -> list[AuditRecord]:
    """Every record of the log at `path`, all verified; the file is only read.

    Raises:
        IntegrityError: the first broken line.
    """
    with path.open("rb") as file:
        return list(verify_lines(file, public_key, log=str(path)))


class AuditLog:
    """The log of one broker; verified when opened.

    A last line that a crash cut is removed, and a record says so: nobody was answered for it, because answers
    wait for the disk. Any other break refuses to open.

    Args:
        path: the JSONL file, made when absent.
        key: the broker's signing key.
        trust_domain: of this broker; a log of another one is refused.
        clock: Unix seconds.

    Raises:
        IntegrityError: the log is broken, or of another trust domain.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey, trust_domain: str, clock: Callable[[], int]) -> None:
        self._path = path
        self._key = key
        self._domain = trust_domain
        self._clock = clock
        self._lock = threading.Lock()
        self._last: AuditRecord | None = None
        self._releases: dict[str, list[int]] = {}
        self._revoked: set[str] = set()
        self._broken = False
        torn = _cut_torn_line(path)
        self._load()
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
        if self._last is None:
            self.append("created")
        if torn:
            self.append("repaired", cut_bytes=len(torn), cut_digest=sha256_hex(torn))

    def append(self, event: str, /, *, durable: bool = True, **members: Any) -> AuditRecord:
        """Sign and store one record; returns when it is on disk.

        Args:
            event: kind of record.
            durable: False leaves the moment of writing to disk to the system, for records that no answer
                depends on.
            members: the event's own members, JSON values without a secret.

        Raises:
            TransientError: the record can't be stored; nothing may be answered that relies on it.
        """
        with self._lock:
            if self._broken:
                raise self._unwritable("an earlier record could not be stored")
            body = AuditBody(
                seq=self._last.body.seq + 1 if self._last else 0,
                at=self._clock(),
                prev=self._last.digest if self._last else GENESIS,
                trust_domain=self._domain,
                event=event,
                **members,
            )
            record = AuditRecord.sign(body, self._key)
            offset = self._file.tell()
            try:
                self._file.write(record.line() + b"\n")
                self._file.flush()
                if durable:
                    os.fsync(self._file.fileno())
            except OSError as error:
                # The file may hold a part of the line: only a restart, which verifies, can go on from here.
                self._broken = True
                raise self._unwritable(error.strerror or "write error") from error
            self._note(record, offset)
            return record

    def activations(self, jti: str) -> int:
        """Releases for the ticket `jti` so far."""
        with self._lock:
            return len(self._releases.get(jti, ()))

    def revoked(self) -> frozenset[str]:
        """Ids of the revoked tickets."""
        with self._lock:
            return frozenset(self._revoked)

    def releases(self, jti: str) -> list[AuditRecord]:
        """The release records of a ticket, oldest first."""
        with self._lock:
            offsets = list(self._releases.get(jti, ()))
        return list(self._read_at(offsets))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _load(self) -> None:
        if not self._path.exists():
            return
        require_private(self._path)
        offset = 0
        with self._path.open("rb") as file:
            for record in verify_lines(file, self._key.public_key(), log=str(self._path)):
                if record.body.trust_domain != self._domain:
                    raise IntegrityError(
                        f"audit log {self._path} belongs to trust domain {record.body.trust_domain[:16]}…, "
                        f"not to {self._domain[:16]}…",
                        next_step="start the broker with the root that it was created with",
                    )
                self._note(record, offset)
                offset += len(record.line()) + 1

    def _note(self, record: AuditRecord, offset: int) -> None:
        self._last = record
        jti = record.body.get("ticket")
        if record.body.event == RELEASE and isinstance(jti, str):
            self._releases.setdefault(jti, []).append(offset)
        if record.body.event == REVOKED and isinstance(jti, str):
            self._revoked.add(jti)

    def _read_at(self, offsets: list[int]) -> Iterator[AuditRecord]:
        with self._path.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                yield AuditRecord.parse(file.readline().removesuffix(b"\n"))

    def _unwritable(self, why: str) -> TransientError:
        return TransientError(
            f"the audit log {self._path} can't be written: {why}",
            next_step="make room on the disk, then restart the broker",
        )


def _cut_torn_line(path: Path) -> bytes:
    """Remove an unfinished last line and return it. A whole record that only lost its line feed stays.

    A crash leaves the beginning of a line, maybe with zero bytes of a block that was never written. Any other
    end (a whole JSON value and something after it, or no record at all) stays, and verification refuses it.
    """
    if not path.exists():
        return b""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_RECORD - 1))
        tail = file.read()
        torn = tail[tail.rfind(b"\n") + 1 :]
        if not torn:
            return b""
        try:
            AuditRecord.parse(torn)
        except ValueError:
            if not _is_beginning(torn):
                return b""
            file.truncate(size - len(torn))
        else:
            file.write(b"\n")
            torn = b""
        file.flush()
        os.fsync(file.fileno())
    return torn


def _is_beginning(torn: bytes) -> bool:
    text = torn.rstrip(b"\0").decode(errors="replace")
    start = '{"body":{'
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return text.startswith(start) or start.startswith(text)
    return False

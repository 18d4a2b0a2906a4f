"""The backup file: a tar stream, sealed under a key that is derived from a passphrase.

    "ppml-ops backup 1\\n" | header, one line of RFC 8785 JSON | sealed file (crypto/sealed.py) of a tar stream

Key: scrypt (RFC 7914) of the passphrase. The header line is the associated data, so it can't change unseen.
The sealed format notices a cut, and gives out nothing that is not authentic.
"""

import io
import json
import os
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ppml_ops.canonical import canonical_json
from ppml_ops.crypto.sealed import SealedReader, SealedWriter
from ppml_ops.errors import ConfigError, IntegrityError, PpmlError
from ppml_ops.keys.store import require_private

MAGIC = b"ppml-ops backup 1\n"
MAX_HEADER = 1024
MIN_PASSPHRASE = 12
_KDF = "scrypt-131072-8-1"  # 128 MiB, about half a second


def read_passphrase(path: Path) -> bytes:
    """The passphrase in a private file, without the line end.

    Raises:
        ConfigError: no such file, others could read it, or it is too short.
    """
    try:
        require_private(path)
        passphrase = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(
            f"the passphrase file {path} can't be read: {error.strerror}",
            next_step="write a passphrase into a file of mode 0600",
        ) from None
    if len(passphrase) < MIN_PASSPHRASE:
        raise ConfigError(
            f"the passphrase in {path} has fewer than {MIN_PASSPHRASE} characters",
            next_step="make a longer one, for example: openssl rand -base64 32",
        )
    return passphrase


@contextmanager
def writing(path: Path, passphrase: bytes) -> Iterator[tarfile.TarFile]:
    """A tar stream into the new file `path` (0600); it appears when the block ends well.

    Raises:
        ConfigError: `path` exists or can't be written.
    """
    header = canonical_json({"kdf": _KDF, "salt": secrets.token_hex(32)})
    hidden = path.with_name(f".{path.name}.writing")
    if path.exists():
        raise ConfigError(f"{path} exists", next_step="name a new file")
    try:
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise ConfigError(f"can't write {path}: {error.strerror}", next_step="check the path") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(MAGIC + header + b"\n")
            with (
                SealedWriter(file, _key(header, passphrase), header) as sealed,
                tarfile.open(fileobj=cast(BinaryIO, sealed), mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                yield tar
            file.flush()
            os.fsync(file.fileno())
        hidden.rename(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


@contextmanager
def reading(path: Path, passphrase: bytes) -> Iterator[tarfile.TarFile]:
    """The tar stream in the backup `path`; each byte is authentic when it is given out.

    Whoever reads must come to the end of the block: only then is it known that the file is whole.

    Raises:
        ConfigError: the file can't be read.
        IntegrityError: it is no backup, was changed or cut, or the passphrase is another one.
    """
    try:
        with path.open("rb") as file:
            header = _header(file)
            try:
                reader = SealedReader(cast(BinaryIO, _Rest(file)), _key(header, passphrase), header)
            except IntegrityError:
                raise _damaged("it was changed or cut, or the passphrase is another one") from None
            buffered = io.BufferedReader(reader, 1 << 20)
            with tarfile.open(fileobj=buffered, mode="r|") as tar:
                yield tar
            while buffered.read(1 << 20):
                pass
    except FileNotFoundError as error:
        raise ConfigError(f"{error.filename} does not exist", next_step="check the path") from None
    except (tarfile.TarError, EOFError):
        raise _damaged("it does not hold what backups hold") from None


def _header(file: BinaryIO) -> bytes:
    if file.read(len(MAGIC)) != MAGIC:
        raise _damaged("it is no backup of this version")
    line = file.readline(MAX_HEADER)
    header: Any = None
    with suppress(ValueError, RecursionError):
        header = json.loads(line)
    if not isinstance(header, dict) or header.get("kdf") != _KDF or not line.endswith(b"\n"):
        raise _damaged("its header can't be read")
    return line[:-1]


def _key(header: bytes, passphrase: bytes) -> bytes:
    return Scrypt(salt=header, length=32, n=131072, r=8, p=1).derive(passphrase)


class _Rest(io.RawIOBase):
    """What follows the present position of a file, as a file of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_SET:
            offset += self._start
        return self._file.seek(offset, whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def _damaged(problem: str) -> PpmlError:
    return IntegrityError(
        f"the backup can't be used: {problem}", next_step="use another backup", who="the operator"
    )

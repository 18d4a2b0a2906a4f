"""The audit log of a broker after whatever happened to its disk."""

from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ppml_ops.broker.audit import AuditLog
from ppml_ops.broker.audit_record import verify_lines
from ppml_ops.errors import PpmlError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SHM = Path("/dev/shm")
FILE = Path(mkdtemp(prefix="ppml-fuzz-", dir=SHM if SHM.is_dir() else None)) / "audit.jsonl"


def run(data: bytes) -> None:
    """Verify the lines, then open the log as a starting broker does."""
    with suppress(PpmlError):
        list(verify_lines(data.splitlines(keepends=True), KEY.public_key(), log="fuzzed"))
    FILE.write_bytes(data)
    FILE.chmod(0o600)
    with suppress(PpmlError):
        AuditLog(FILE, KEY, "ab" * 32, lambda: 1).close()

"""Writes Java's trust store from PEM certificates: `python3 java_trust.py CERTIFICATES.crt cacerts`.

The same certificates give the same bytes; keytool, which Debian uses, notes the time of each entry. The format
is JKS, as `sun.security.provider.JavaKeyStore` reads it; its password is Java's well-known one.
"""

import hashlib
import re
import ssl
import struct
import sys
from pathlib import Path

_MAGIC, _VERSION, _TRUSTED = 0xFEEDFEED, 2, 2
_PASSWORD = "changeit"  # noqa: S105  # public: it is in every Java runtime
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def trust_store(pem: str) -> bytes:
    """All certificates in `pem`, once each."""
    certificates = {
        hashlib.sha256(der).hexdigest(): der for der in map(ssl.PEM_cert_to_DER_cert, _PEM.findall(pem))
    }
    body = struct.pack(">III", _MAGIC, _VERSION, len(certificates))
    for alias, der in sorted(certificates.items()):
        body += struct.pack(">I", _TRUSTED) + _text(alias) + struct.pack(">q", 0) + _text("X.509")
        body += struct.pack(">I", len(der)) + der
    check = hashlib.sha1(_PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body)  # noqa: S324  # the format's
    return body + check.digest()


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode("ascii")


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(trust_store(Path(sys.argv[1]).read_text()))

"""RFC 7638 thumbprint of a TEE's ephemeral key: how audit records name the recipient of a release."""

import hashlib

from ppml_ops.broker.jwe import b64url
from ppml_ops.broker.rcar.kbs_v0_4 import TeePublicKey
from ppml_ops.canonical import canonical_json


def recipient_thumbprint(key: TeePublicKey) -> str:
    """SHA-256 over the required members, unpadded base64url."""
    members = {"crv": key.crv, "kty": key.kty, "x": key.x, "y": key.y}
    return b64url(hashlib.sha256(canonical_json(members)).digest())

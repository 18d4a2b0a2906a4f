"""A receipt or a destruction record of strangers: as it comes, and as a trusted signer would have signed it."""

import json
from contextlib import suppress

from ppml_ops.broker.jose import public_jwk
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import PpmlError
from ppml_ops.maintenance.destruction import verify_destruction
from ppml_ops.receipts.anchors import Anchors
from ppml_ops.receipts.signed import sign_document
from ppml_ops.receipts.verify import verify_chain
from tests.fuzz.targets.ticket import KEY

JWK = public_jwk(KEY)
ANCHORS = Anchors(
    trust_domain="ab" * 32, simulated=True, broker_keys=(JWK,), owner_keys=(JWK,), receipt_signers=(JWK,)
)


def run(data: bytes) -> None:
    """Verify both; anchors too are a file that somebody sent."""
    files = [data]
    with suppress(ValueError, RecursionError):
        document = json.loads(data)
        if isinstance(document, dict):
            files.append(canonical_json(sign_document(document, KEY)))
    for file in files:
        with suppress(PpmlError):
            verify_chain([file], ANCHORS)
        with suppress(PpmlError):
            verify_destruction(file, ANCHORS)
    with suppress(PpmlError):
        Anchors.parse(data)

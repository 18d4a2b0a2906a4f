"""A job ticket: as it comes, and as an owner would have signed it."""

from contextlib import suppress

from joserfc.jwk import OKPKey

from ppml_ops.broker.bundle import BUNDLE_TYPE, KeyBundle
from ppml_ops.broker.jose import sign_compact
from ppml_ops.broker.tickets import TICKET_TYPE, verify_ticket
from ppml_ops.errors import PpmlError

KEY = OKPKey.import_key(
    {
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }
)
OWNERS = {KEY.thumbprint(): KEY}


def run(data: bytes) -> None:
    """Verify the text, then a good signature over the bytes."""
    for text in (data.decode("latin-1"), sign_compact(data, KEY, TICKET_TYPE)):
        with suppress(PpmlError):
            verify_ticket(text, owners=OWNERS, trust_domain="ab" * 32, now=1_790_000_000)
    with suppress(PpmlError):
        KeyBundle.verify(sign_compact(data, KEY, BUNDLE_TYPE).encode(), KEY)

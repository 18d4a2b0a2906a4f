"""The key that signs an installation's receipts, in the orchestrator's zone, and its public parts so far."""

from pathlib import Path

from joserfc.jwk import OKPKey

from ppml_ops.broker.jose import public_jwk, signing_key
from ppml_ops.broker.owners import OwnerStore
from ppml_ops.files import file_lock, private_dir


def receipt_signer(home: Path) -> OKPKey:
    """The Ed25519 key in `receipts/signing-key.json` of the state folder (0600); made at first use.

    Its public part is kept in `receipts/signers/`, so that receipts stay verifiable here when the key is
    replaced: move the file away, and the next receipt is signed by a new one.

    Raises:
        ConfigError: others could read the file.
        IntegrityError: it isn't such a key.
    """
    folder = private_dir(home / "receipts")
    with file_lock(folder / "lock"):
        key = signing_key(folder / "signing-key.json")
        OwnerStore(folder / "signers").register(public_jwk(key))
    return key


def known_signers(home: Path) -> dict[str, OKPKey]:
    """Public keys that have signed receipts here, by thumbprint; none in a new state folder.

    Raises:
        IntegrityError: a file is not the key that its name says.
    """
    folder = home / "receipts" / "signers"
    return OwnerStore(folder).all() if folder.is_dir() else {}

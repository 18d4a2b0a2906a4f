"""Everything that a broker keeps, opened from its folder and bound to one trust domain."""

import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.broker.archive import Archive
from ppml_ops.broker.audit import AuditLog
from ppml_ops.broker.jose import signing_key
from ppml_ops.broker.owners import OwnerStore
from ppml_ops.broker.policies import PolicyStore
from ppml_ops.broker.resources import ResourceStore
from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import create_only, private_dir
from ppml_ops.keys.local import LocalKeyService
from ppml_ops.keys.store import require_private
from ppml_ops.keys.wrapping import derive

_MASTER = ".master.key"  # hidden, as no key can have such a name
_MASTER_INFO = b"ppml-ops/keystore/v1\0"


@dataclass(frozen=True)
class BrokerState:
    """Stores and keys of one broker.

    Attributes:
        signing: Ed25519, signs audit records and key bundles; its public part is what clients pin.
        token_signing: P-256, signs the EAR tokens of RCAR.
        keystore: primary keys `broker:`, wrapped by the master key.
        local_keys: the owner's `local:` folder, when the broker may use it.
    """

    domain: TrustDomain
    signing: OKPKey
    token_signing: ECKey
    keystore: LocalKeyService
    local_keys: LocalKeyService | None
    local_folder: Path | None
    resources: ResourceStore
    policies: PolicyStore
    owners: OwnerStore
    archive: Archive
    audit: AuditLog

    @classmethod
    def open(
        cls, folder: Path, domain: TrustDomain, clock: Callable[[], int], *, local_keys: Path | None = None
    ) -> "BrokerState":
        """Open the state in `folder`, made when absent.

        Args:
            folder: `<home>/broker`; only one process may have it open.
            domain: must be the one that the folder was created with.
            clock: Unix seconds.
            local_keys: folder of the `local:` key service, if tickets may carry keys wrapped by it.

        Raises:
            ConfigError: created for another trust domain, or others could read it.
            IntegrityError: a key or the audit log is damaged.
        """
        if folder.exists():
            require_private(folder)
        private_dir(folder)
        bound = _is_bound(folder / "domain.json", domain)
        if bound and not (folder / "audit.jsonl").exists():
            raise IntegrityError(
                f"the audit log of {folder} is gone", next_step="restore audit.jsonl from a backup"
            )
        keystore = private_dir(folder / "keystore")
        master = _master(keystore, domain.id)
        signing = signing_key(folder / "signing-key.json")
        state = cls(
            domain=domain,
            signing=signing,
            token_signing=_token_key(folder / "token-key.json"),
            keystore=LocalKeyService(keystore, master=master),
            local_keys=LocalKeyService(local_keys) if local_keys else None,
            local_folder=local_keys,
            resources=ResourceStore(folder / "resources", master),
            policies=PolicyStore(folder / "policies"),
            owners=OwnerStore(folder / "owners"),
            archive=Archive(folder / "evidence"),
            audit=AuditLog(folder / "audit.jsonl", audit_key(signing), domain.id, clock),
        )
        if not bound:
            # Last, so that a crash before it is no missing audit log.
            create_only(folder / "domain.json", canonical_json(_binding(domain)), mode=0o600)
        return state


def stored_keys(folder: Path) -> LocalKeyService:
    """The primary keys in the folder of a broker that does not run, for restores and drills.

    Raises:
        IntegrityError: there is none, or it is damaged.
    """
    try:
        domain = json.loads((folder / "domain.json").read_bytes())["trust_domain"]
        keystore = folder / "keystore"
        if not (keystore / _MASTER).exists():
            raise FileNotFoundError
        return LocalKeyService(keystore, master=_master(keystore, domain))
    except (OSError, ValueError, KeyError, TypeError):
        raise IntegrityError(
            f"there is no whole key broker in {folder}", next_step="restore the folder from a backup"
        ) from None


def _master(keystore: Path, domain: str) -> bytes:
    # The domain is part of the key: under another root a copied store does not open.
    return derive(_secret(keystore / _MASTER), _MASTER_INFO + bytes.fromhex(domain))


def audit_key(key: OKPKey) -> Ed25519PrivateKey:
    """The signing key as `cryptography` knows it."""
    raw = key.raw_value
    assert isinstance(raw, Ed25519PrivateKey)  # `signing_key` gives no other
    return raw


def _binding(domain: TrustDomain) -> dict[str, str]:
    return {"ppml": "broker-store/1", "trust_domain": domain.id}


def _is_bound(path: Path, domain: TrustDomain) -> bool:
    """False for a new store; an existing one must be of `domain`."""
    if not path.exists():
        return False
    try:
        stored = json.loads(path.read_bytes())
    except ValueError:
        stored = None
    if not isinstance(stored, dict) or "trust_domain" not in stored:
        raise IntegrityError(f"{path} is damaged", next_step="restore it from a backup")
    if stored != _binding(domain):
        raise ConfigError(
            f"this broker's store was created for trust domain {str(stored['trust_domain'])[:16]}…, "
            f"the given root is that of {domain.id[:16]}…",
            next_step="start it with its own root, or give the other root a state folder of its own "
            "(PPML_OPS_HOME)",
        )
    return True


def _secret(path: Path) -> bytes:
    if not path.exists():
        with suppress(FileExistsError):
            create_only(path, secrets.token_bytes(32), mode=0o600)
    require_private(path)
    secret = path.read_bytes()
    if len(secret) != 32:
        raise IntegrityError(f"{path} is not a master key of 32 bytes", next_step="restore it from a backup")
    return secret


def _token_key(path: Path) -> ECKey:
    if not path.exists():
        fresh = ECKey.generate_key("P-256").as_dict(private=True)
        with suppress(FileExistsError):
            create_only(path, canonical_json(fresh), mode=0o600)
    require_private(path)
    try:
        key = ECKey.import_key(json.loads(path.read_bytes()))
    except (ValueError, TypeError, JoseError):
        key = None
    if key is None or key.curve_name != "P-256" or not key.is_private:
        raise IntegrityError(f"{path} is not a P-256 signing key", next_step="delete it; a new one is made")
    return key

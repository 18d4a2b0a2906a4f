"""The trust domain: one attestation root, and what follows from which root it is.

The root *is* the mode. There is no switch: a domain is simulated exactly when its root is not Intel's, which is
pinned here by digest. The markers are what simulated platforms put into everything they sign; the production
domain refuses them even under a trusted root, a simulated domain refuses evidence without them.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from cryptography import x509

from ppml_ops.errors import ConfigError

INTEL_ROOT_SHA256 = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
MAX_ROOT_BYTES = 16 * 1024

SIMULATED_ORGANIZATION = "SIMULATED TEE - NOT INTEL"
SIMULATED_FMSPC = "5f514d000000"
SIMULATED_USER_DATA = b"SIMULATED-TEE-QUOTE!"


@dataclass(frozen=True)
class TrustDomain:
    """One attestation root certificate (DER).

    Raises:
        ConfigError: `root_der` is not one X.509 certificate in DER.
    """

    root_der: bytes

    def __post_init__(self) -> None:
        """Refuse roots that no quote could ever verify under."""
        if len(self.root_der) > MAX_ROOT_BYTES or not _is_certificate(self.root_der):
            raise ConfigError(
                "the attestation root is not one X.509 certificate in DER form",
                next_step="give the root.der file of the trust domain",
            )

    @cached_property
    def id(self) -> str:
        """SHA-256 of the root, 64 hex digits: the name of the domain in keys, tickets, files and records."""
        return hashlib.sha256(self.root_der).hexdigest()

    @property
    def simulated(self) -> bool:
        """True for every root but Intel's."""
        return self.id != INTEL_ROOT_SHA256

    @classmethod
    def intel(cls) -> "TrustDomain":
        """The production domain: Intel's SGX root as shipped with this package, checked against the pin.

        Raises:
            ConfigError: the shipped file is not the pinned certificate.
        """
        domain = cls(files("ppml_ops.attestation").joinpath("data/intel_sgx_root_ca.der").read_bytes())
        if domain.simulated:
            raise ConfigError(
                "the installed Intel root certificate is not the pinned one",
                next_step="reinstall ppml-ops from a trusted source",
            )
        return domain


def _is_certificate(der: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(der)
    except ValueError:
        return False
    return True

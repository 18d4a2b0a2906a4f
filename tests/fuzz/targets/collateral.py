"""Collateral from a folder, a file or a PCCS; a good quote is appraised with it."""

from contextlib import suppress
from pathlib import Path

from ppml_ops.attestation.appraise import appraise
from ppml_ops.attestation.collateral import Collateral
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.layout import parse_layout
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.errors import PpmlError

QUOTES = Path(__file__).parents[2] / "data" / "quotes"
DOMAIN = TrustDomain((QUOTES / "intel_sgx_root_ca.der").read_bytes())
QUOTE = (QUOTES / "tdx_v4_a.quote.bin").read_bytes()
REPORT_DATA = parse_layout(QUOTE).report_data


def run(data: bytes) -> None:
    """Parse, read its times, appraise."""
    with suppress(PpmlError):
        bundle = Collateral.from_json(data)
        with suppress(PpmlError):
            bundle.facts()
        appraise(Evidence("tdx", QUOTE), bundle, report_data=REPORT_DATA, now=1752919234, domain=DOMAIN)

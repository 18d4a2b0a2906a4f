"""A quote that a machine of strangers shows."""

from contextlib import suppress
from pathlib import Path

from ppml_ops.attestation.appraise import appraise
from ppml_ops.attestation.collateral import Collateral, CollateralStore
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.layout import parse_layout
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.errors import PpmlError

QUOTES = Path(__file__).parents[2] / "data" / "quotes"
DOMAIN = TrustDomain((QUOTES / "intel_sgx_root_ca.der").read_bytes())
COLLATERAL = {
    "sgx": Collateral.load(QUOTES / "sgx_v3.collateral.json"),
    "tdx": Collateral.load(QUOTES / "tdx_v4_a.collateral.json"),
}


def run(data: bytes) -> None:
    """Layout, collateral's name, whole appraisal."""
    with suppress(PpmlError):
        CollateralStore(Path("/nowhere")).find(data)
    with suppress(PpmlError):
        layout = parse_layout(data)
        evidence = Evidence("tdx" if layout.tee == "tdx" else "sgx", data)
        appraise(
            evidence, COLLATERAL[layout.tee], report_data=layout.report_data, now=1752919234, domain=DOMAIN
        )

"""One seed, one platform; and what verifiers read from it."""

import subprocess
import sys
from dataclasses import replace

import dcap_qvl
import pytest

from ppml_ops.attestation.trust import SIMULATED_ORGANIZATION, SIMULATED_USER_DATA
from ppml_sim.collateral import make_collateral
from ppml_sim.faults import Faults
from ppml_sim.pki import CPU_SVN, PCE_SVN, make_pki
from ppml_sim.quote import EnclaveMeasurements, TdMeasurements, sgx_quote, tdx_quote

SEED = bytes(32)
NOW = 1_790_000_000
ZERO_TD = TdMeasurements(bytes(48), bytes(48), bytes(48), bytes(48))


def test_same_seed_same_certificates_in_every_process():
    code = (
        "import sys; from ppml_sim.pki import make_pki;"
        "pki = make_pki(bytes(32)); sys.stdout.buffer.write(pki.root_der + pki.pck_chain)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    pki = make_pki(SEED)
    assert other == pki.root_der + pki.pck_chain


def test_other_seed_other_root():
    assert len({make_pki(bytes([i]) * 32).root_der for i in range(5)}) == 5


def test_faults_of_the_platform_do_not_change_its_root():
    assert (
        make_pki(SEED, Faults(smt=False, debug=True, unmarked_fmspc=True)).root_der == make_pki(SEED).root_der
    )


def test_every_subject_is_marked():
    pki = make_pki(SEED)
    for certificate in (pki.root, pki.pck_ca, pki.pck, pki.tcb_signer):
        assert f"O={SIMULATED_ORGANIZATION}" in certificate.subject.rfc4514_string()


@pytest.mark.parametrize("tee", ["tdx", "sgx"])
def test_what_a_verifier_parses(tee):
    pki = make_pki(SEED)
    asked = bytes(range(64))
    quote = (
        tdx_quote(pki, ZERO_TD, asked)
        if tee == "tdx"
        else sgx_quote(pki, EnclaveMeasurements(bytes(32), bytes(32)), asked)
    )
    parsed = dcap_qvl.parse_quote(quote)
    assert (parsed.quote_type().lower(), parsed.ca(), parsed.fmspc()) == (tee, "platform", "5F514D000000")
    assert parsed.header.user_data == SIMULATED_USER_DATA and parsed.report.report_data == asked
    extension = parsed.pck_extension()
    assert (extension.cpu_svn, extension.pce_svn, extension.sgx_type) == (CPU_SVN, PCE_SVN, 1)
    assert len(extension.ppid) == len(extension.platform_instance_id) == 16
    assert 3500 < len(quote) < 6000, "about the size of real ones"


@pytest.mark.parametrize("flag", ["smt", "cached_keys", "dynamic_platform"])
def test_platform_flags(flag):
    faults = replace(Faults(), **{flag: False})
    pki = make_pki(SEED, faults)
    verifier = dcap_qvl.QuoteVerifier(pki.root_der)
    bundle = dcap_qvl.QuoteCollateralV3.from_json(make_collateral(pki, NOW).to_json().decode())
    quote = tdx_quote(pki, ZERO_TD, bytes(64))
    text = verifier.verify_with_policy(quote, bundle, NOW, dcap_qvl.QuotePolicy.claims_only(NOW)).to_json()
    name = "smt_enabled" if flag == "smt" else flag
    assert f'"{name}":"False"' in text.replace(" ", "") and text.count('"True"') == 2

"""Each cause of refusal has its class: one test per row of the verifier's error table."""

import json
import re

import pytest

from ppml_ops.attestation import errors as e
from ppml_ops.attestation.collateral import Collateral
from ppml_ops.attestation.errors import refusal
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.errors import DeniedError, TransientError
from ppml_sim.faults import Faults

SIGNATURE = 48 + 584 + 4
KEY = SIGNATURE + 64
QE_REPORT = KEY + 64 + 6


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def changed(collateral: Collateral, **fields: str) -> Collateral:
    return collateral.model_copy(update=fields)


def flip_hex(text: str) -> str:
    return flipped(bytes.fromhex(text), -1 % (len(text) // 2)).hex()


def lenient(policy):
    return policy.allow_status("OutOfDate").platform_grace_period(10**9)


@pytest.fixture
def real(vectors):
    return vectors["tdx_v4_a"]


@pytest.mark.parametrize("position", [30, 48 + 136, SIGNATURE, KEY - 1], ids=["header", "mr_td", "r", "s"])
def test_changed_quote(real, position):
    with pytest.raises(e.QuoteSignatureError):
        real.appraise(flipped(real.quote, position))


def test_changed_attestation_key(real, vectors):
    """The key of another real quote in this one's place: a valid point that nobody vouched for."""
    other = vectors["tdx_v4_c"].quote
    quote = real.quote[:KEY] + other[KEY : KEY + 64] + real.quote[KEY + 64 :]
    with pytest.raises(e.AttestationKeyError):
        real.appraise(quote)


def test_changed_qe_report(real):
    with pytest.raises(e.QeReportSignatureError):
        real.appraise(flipped(real.quote, QE_REPORT + 64))


@pytest.mark.parametrize("cut", [0, 1, 47, 48, 200, 632, 700, 2000, 4000])
def test_cut_quote(real, cut):
    with pytest.raises(e.UndecodableQuoteError):
        real.appraise(real.quote[:cut])


@pytest.mark.parametrize("data", [b"x" * 5000, bytes(17_000), bytes(5000), b"\xff" * 6000])
def test_garbage_quote(real, data):
    with pytest.raises(e.UndecodableQuoteError):
        real.appraise(data)


def test_quote_of_another_kind_than_said(vectors):
    vector = vectors["sgx_v3"]
    from ppml_ops.attestation.appraise import appraise

    with pytest.raises(e.UndecodableQuoteError):
        appraise(
            Evidence("tdx", vector.quote),
            vector.collateral,
            report_data=vector.report_data,
            now=vector.entry["now"],
            domain=TrustDomain.intel(),
        )


@pytest.mark.parametrize("days", [-400, -1, 31, 4000])
def test_collateral_out_of_its_time(worlds, days):
    world = worlds()
    with pytest.raises(e.CollateralTimeError):
        world.appraise(now=world.now + days * 86400)


@pytest.mark.parametrize("field", ["tcb_info_signature", "qe_identity_signature"])
def test_changed_statement_signature(real, field):
    fields = {field: flip_hex(getattr(real.collateral, field))}
    with pytest.raises(e.CollateralSignatureError):
        real.appraise(collateral=changed(real.collateral, **fields))


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [("tcb_info", '"OutOfDate"', '"UpToDate"'), ("qe_identity", '"isvprodid":2', '"isvprodid":3')],
)
def test_changed_statement(real, field, old, new):
    text = getattr(real.collateral, field)
    assert old in text
    with pytest.raises(e.CollateralSignatureError):
        real.appraise(collateral=changed(real.collateral, **{field: text.replace(old, new)}))


@pytest.mark.parametrize("field", ["root_ca_crl", "pck_crl"])
def test_changed_crl(real, field):
    with pytest.raises(e.UntrustedChainError):
        real.appraise(collateral=changed(real.collateral, **{field: flip_hex(getattr(real.collateral, field))}))


def test_crl_of_the_wrong_ca(real, vectors):
    """A CRL that covers other certificates says nothing about this one."""
    foreign = vectors["sgx_v3"].collateral
    collateral = changed(
        real.collateral, pck_crl=foreign.pck_crl, pck_crl_issuer_chain=foreign.pck_crl_issuer_chain
    )
    with pytest.raises(e.UntrustedChainError, match="UnknownRevocationStatus"):
        real.appraise(collateral=collateral)


def test_foreign_root(real, worlds):
    world, other = worlds(), worlds(seed=b"\x01" * 32)
    with pytest.raises(e.UntrustedChainError):
        world.appraise(domain=other.domain)
    with pytest.raises(e.UntrustedChainError):
        world.appraise(collateral=other.collateral)


@pytest.mark.parametrize("faults", [Faults(revoked_pck=True), Faults(revoked_pck_ca=True)])
@pytest.mark.parametrize("tee", ["tdx", "sgx"])
def test_revoked_certificate(worlds, faults, tee):
    with pytest.raises(e.PckRevokedError):
        worlds(faults, tee=tee).appraise()


def test_collateral_of_the_wrong_tee(vectors, worlds):
    now = vectors["tdx_v4_a"].entry["now"]
    with pytest.raises(e.WrongCollateralError):
        vectors["tdx_v4_a"].appraise(collateral=vectors["sgx_v3"].collateral)
    with pytest.raises(e.WrongCollateralError):
        vectors["sgx_v3"].appraise(collateral=vectors["tdx_v4_a"].collateral, now=now)


def test_collateral_of_another_platform_model(vectors):
    other = vectors["tdx_v5"]
    with pytest.raises(e.WrongCollateralError):
        vectors["tdx_v4_a"].appraise(collateral=other.collateral, now=other.entry["now"])


def test_no_collateral(real):
    with pytest.raises(e.WrongCollateralError):
        real.appraise(collateral=None)


@pytest.mark.parametrize("tee", ["tdx", "sgx"])
def test_below_every_tcb_level(worlds, tee):
    with pytest.raises(e.NoTcbLevelError):
        worlds(Faults(below_every_level=True), tee=tee).appraise()


@pytest.mark.parametrize("tee", ["tdx", "sgx"])
def test_tcb_revoked(worlds, tee):
    with pytest.raises(e.TcbRevokedError):
        worlds(Faults(tcb_status="Revoked"), tee=tee).appraise()


@pytest.mark.parametrize("tee", ["tdx", "sgx"])
def test_debug(worlds, tee):
    with pytest.raises(e.DebugModeError):
        worlds(Faults(debug=True), tee=tee).appraise()


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda p: p, "TCB status OutOfDate is not acceptable by policy"),
        (lambda p: p.allow_status("OutOfDate"), "Platform TCB too old"),
        (lambda p: lenient(p).reject_advisory("INTEL-SA-1"), "INTEL-SA-1 is rejected by policy"),
        (lambda p: lenient(p).min_tcb_eval_data_number(99), "is below minimum 99"),
        (lambda p: lenient(p), "is not allowed by policy"),
    ],
    ids=["status", "age", "advisory", "eval number", "platform flag"],
)
def test_verifier_policy(worlds, rule, text):
    """We ask for claims only; the texts are classified should that ever change."""
    import dcap_qvl

    world = worlds(Faults(tcb_status="OutOfDate", advisories=("INTEL-SA-1",)))
    verifier = dcap_qvl.QuoteVerifier(world.pki.root_der)
    bundle = dcap_qvl.QuoteCollateralV3.from_json(world.collateral.to_json().decode())
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        verifier.verify_with_policy(
            world.evidence().quote, bundle, world.now, rule(dcap_qvl.QuotePolicy.strict(world.now))
        )
    assert isinstance(refusal(str(caught.value)), e.VerifierPolicyError)


@pytest.mark.parametrize("field", [f for f in Collateral.model_fields if f != "pck_certificate_chain"])
def test_missing_field(real, field):
    document = json.loads(real.collateral.to_json())
    del document[field]
    with pytest.raises(e.CollateralFormatError, match=field):
        Collateral.from_json(json.dumps(document))


def test_missing_field_as_the_verifier_says_it():
    import dcap_qvl

    with pytest.raises(ValueError, match="missing field") as caught:
        dcap_qvl.QuoteCollateralV3.from_json("{}")
    assert isinstance(refusal(str(caught.value)), e.CollateralFormatError)


def test_pccs_unreachable_is_worth_a_retry():
    error = refusal("Failed to get collateral: error sending request for url (http://127.0.0.1:1/)")
    assert isinstance(error, e.PccsUnavailableError) and isinstance(error, TransientError) and error.retryable


def test_unknown_text_is_refused():
    error = refusal("Verification failed: all is well\n" + "x" * 5000)
    assert type(error) is e.QuoteRefusedError
    assert len(str(error)) < 600 and "\n" not in str(error)


def test_every_appraisal_error_is_a_denial():
    classes = [c for c in vars(e).values() if isinstance(c, type) and issubclass(c, e.AppraisalError)]
    assert len(classes) >= 15
    assert all(issubclass(c, DeniedError) and c.exit_code == 77 and not c.retryable for c in classes)


@pytest.mark.parametrize("status", ["OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded"])
def test_other_statuses_verify_and_are_claims(worlds, status):
    """The verifier passes them: only a policy stands between OutOfDate and a key."""
    claims = worlds(Faults(tcb_status=status, advisories=("INTEL-SA-1", "INTEL-SA-0"))).appraise()
    assert claims.tcb_status == status
    assert claims.advisories == ("INTEL-SA-0", "INTEL-SA-1")


def test_older_evaluation_counts(worlds):
    """TCB info and QE identity are fetched apart; the older one bounds what is known."""
    assert worlds().appraise().tcb_eval_number == 18
    assert worlds(Faults(qe_eval_number=16)).appraise().tcb_eval_number == 16


def test_outdated_quoting_enclave_counts(worlds):
    claims = worlds(Faults(qe_status="OutOfDate")).appraise()
    assert claims.tcb_status == "OutOfDate" and claims.qe_tcb_status == "OutOfDate"

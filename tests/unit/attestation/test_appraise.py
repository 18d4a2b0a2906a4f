"""What appraisal adds to the verifier: freshness, event log, and the border between simulated and real."""

import pytest

from ppml_ops.attestation import trust
from ppml_ops.attestation.errors import EventLogError, MarkerError, ReportDataError, UntrustedChainError
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.measure import (
    JOB_EVENT,
    MAX_EVENT_LOG_BYTES,
    RUNNER_EVENT,
    Event,
    encode_event_log,
    replay,
)
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.errors import ConfigError
from ppml_sim.faults import Faults


def event(name, digit, imr=3):
    return Event(imr=imr, event=name, digest=digit * 96)


def with_log(world, relabel, events, **registers):
    """Evidence of a TD that really went through these events."""
    from ppml_sim.quote import TdMeasurements, tdx_quote

    blank = {name: bytes(48) for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2")}
    td = TdMeasurements(**(blank | registers), rtmr3=replay(events, 3))
    return Evidence("tdx", tdx_quote(world.pki, td, bytes(range(64))), encode_event_log(events))


def test_simulated_quote_passes_under_its_root_and_is_marked(world):
    claims = world.appraise()
    assert claims.simulated and claims.attested
    assert claims.trust_domain == world.domain.id
    assert claims.runner_digest == "aa" * 48 and claims.job_digest == "bb" * 48
    assert claims.tcb_status == "UpToDate" and claims.fmspc == trust.SIMULATED_FMSPC
    assert claims.smt == claims.cached_keys == claims.dynamic_platform == "true"
    assert claims.event_log_sha256 is not None and claims.collateral_sha256 is not None


def test_simulated_enclave_passes(worlds):
    claims = worlds(tee="sgx").appraise()
    assert (claims.mr_enclave, claims.mr_signer) == ("05" * 32, "06" * 32)
    assert (claims.isv_prod_id, claims.isv_svn, claims.rtmr3) == (7, 3, None)


@pytest.mark.parametrize("tee", ["tdx", "sgx"])
def test_simulated_quote_fails_under_intels_root(worlds, tee):
    with pytest.raises(UntrustedChainError):
        worlds(tee=tee).appraise(domain=TrustDomain.intel())


@pytest.mark.parametrize(
    "faults",
    [Faults(unmarked_subjects=True), Faults(unmarked_fmspc=True), Faults(unmarked_header=True)],
    ids=["subjects", "fmspc", "header"],
)
def test_simulated_domain_wants_every_marker(worlds, faults):
    with pytest.raises(MarkerError):
        worlds(faults).appraise()


@pytest.mark.parametrize(
    ("faults", "passes"),
    [
        (Faults(), False),
        (Faults(unmarked_subjects=True, unmarked_fmspc=True), False),
        (Faults(unmarked_fmspc=True, unmarked_header=True), False),
        (Faults(unmarked_subjects=True, unmarked_header=True), False),
        (Faults(unmarked_subjects=True, unmarked_fmspc=True, unmarked_header=True), True),
    ],
)
def test_production_refuses_any_marker_even_under_a_trusted_root(worlds, monkeypatch, faults, passes):
    world = worlds(faults)
    monkeypatch.setattr(trust, "INTEL_ROOT_SHA256", world.domain.id)
    assert not world.domain.simulated
    if passes:
        assert not world.appraise().simulated
    else:
        with pytest.raises(MarkerError):
            world.appraise()


@pytest.mark.parametrize("asked", [bytes(64), bytes(range(63)), b"", bytes(range(64)) + b"\0"])
def test_quote_must_answer_this_challenge(world, asked):
    with pytest.raises(ReportDataError):
        world.appraise(report_data=asked)


@pytest.mark.parametrize(
    "names",
    [
        [],
        [RUNNER_EVENT],
        [JOB_EVENT, RUNNER_EVENT],
        [RUNNER_EVENT, JOB_EVENT, "later"],
        [RUNNER_EVENT, JOB_EVENT, JOB_EVENT],
        ["earlier", RUNNER_EVENT, JOB_EVENT],
    ],
)
def test_only_runner_then_job_name_a_job(world, relabel, names):
    """Names are not measured: with any other sequence a host could relabel what it likes as the job."""
    events = [event(name, digit) for name, digit in zip(names, "1234", strict=False)]
    claims = world.appraise(with_log(world, relabel, events))
    assert claims.runner_digest is None and claims.job_digest is None
    assert claims.rtmr3 == replay(events, 3).hex()


def test_changed_reordered_or_missing_events(world, relabel):
    events = [event(RUNNER_EVENT, "1"), event(JOB_EVENT, "2")]
    good = with_log(world, relabel, events)
    assert world.appraise(good).job_digest == "2" * 96
    for lie in ([], events[:1], events[::-1], [events[0], event(JOB_EVENT, "3")], [*events, events[1]]):
        with pytest.raises(EventLogError):
            world.appraise(relabel(good, event_log=encode_event_log(lie)))


def test_no_log_names_no_job(world, relabel):
    claims = world.appraise(relabel(world.evidence(), event_log=None))
    assert claims.job_digest is None and claims.event_log_sha256 is None and claims.rtmr3 is not None


def test_events_of_other_rtmrs_must_replay_too(world, relabel):
    events = [event("boot", "7", imr=1), event(RUNNER_EVENT, "1"), event(JOB_EVENT, "2")]
    good = with_log(world, relabel, events, rtmr1=replay(events, 1))
    assert world.appraise(good).job_digest == "2" * 96
    with pytest.raises(EventLogError, match="RTMR1"):
        world.appraise(with_log(world, relabel, events))


@pytest.mark.parametrize(
    "log",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{"imr":4,"event":"x","digest":"' + b"0" * 96 + b'"}]',
        b'[{"imr":3,"event":"x","digest":"00"}]',
        b'[{"imr":"3","event":"x","digest":"' + b"0" * 96 + b'"}]',
        b"[" * 100_000,
        b" " * (MAX_EVENT_LOG_BYTES + 1),
        b"\xff\xfe",
    ],
)
def test_unreadable_logs(world, relabel, log):
    with pytest.raises(EventLogError):
        world.appraise(relabel(world.evidence(), event_log=log))


def test_too_many_events(world, relabel, monkeypatch):
    monkeypatch.setattr("ppml_ops.attestation.measure.MAX_EVENTS", 1)
    with pytest.raises(EventLogError, match="more than 1"):
        world.appraise()


def test_no_tee_is_unattested(world):
    claims = world.appraise(Evidence("none", b""))
    assert not claims.attested and claims.simulated
    unset = claims.model_dump(exclude_defaults=True).keys() - {
        "tee",
        "trust_domain",
        "simulated",
        "verified_at",
    }
    assert not unset


def test_intel_root_is_pinned():
    domain = TrustDomain.intel()
    assert domain.id == trust.INTEL_ROOT_SHA256 and not domain.simulated


def test_replaced_intel_root_is_noticed(monkeypatch):
    monkeypatch.setattr(trust, "INTEL_ROOT_SHA256", "0" * 64)
    with pytest.raises(ConfigError, match="pinned"):
        TrustDomain.intel()


@pytest.mark.parametrize("root", [b"", b"junk", bytes(20_000), b"-----BEGIN CERTIFICATE-----"])
def test_root_must_be_a_certificate(root):
    with pytest.raises(ConfigError):
        TrustDomain(root)


def test_claims_survive_json(world):
    claims = world.appraise()
    assert type(claims).model_validate_json(claims.model_dump_json()) == claims

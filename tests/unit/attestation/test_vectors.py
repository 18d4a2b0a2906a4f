"""Real quotes give exactly what was recorded for them, and nothing after their window."""

import hashlib
import json
from collections.abc import Callable

import pytest

from ppml_ops.attestation.appraise import appraise
from ppml_ops.attestation.errors import (
    AppraisalError,
    CollateralTimeError,
    EventLogError,
    NoTcbLevelError,
    QuoteRefusedError,
)
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.layout import parse_layout
from ppml_ops.attestation.measure import parse_event_log, replay
from ppml_ops.attestation.trust import INTEL_ROOT_SHA256, TrustDomain

ACCEPTED = ["sgx_v3", "tdx_v4_a", "tdx_v4_c", "tdx_v5"]
EVERY = [*ACCEPTED, "tdx_v5_no_tcb_level"]


def test_index_is_complete(vectors, quotes):
    assert sorted(vectors) == sorted(EVERY)
    for vector in vectors.values():
        for name, digest in vector.entry["sha256"].items():
            assert hashlib.sha256((quotes / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", ACCEPTED)
def test_recorded_outcome(vectors, name):
    vector = vectors[name]
    entry, claims = vector.entry, vector.appraise()
    assert claims.tee == entry["tee"]
    assert claims.quote_version == entry["quote_version"]
    assert claims.tcb_status == entry["status"]
    assert list(claims.advisories) == entry["advisory_ids"]
    assert claims.fmspc == entry["fmspc"].lower()
    assert claims.pck_ca == entry["pck_ca"]
    assert claims.verified_at == entry["now"]
    assert claims.collateral_expires == entry["not_after"]
    assert claims.collateral_issued <= entry["not_before"]
    assert claims.trust_domain == INTEL_ROOT_SHA256
    assert not claims.simulated and claims.attested and not claims.debug
    report = {key.replace("rt_mr", "rtmr"): value for key, value in entry["report"].items()}
    if entry["tee"] == "sgx":
        report["sgx_attributes"] = report.pop("attributes")
    assert {key: getattr(claims, key) for key in report} == report
    assert claims.runner_digest is None and claims.job_digest is None


def test_below_every_level(vectors):
    with pytest.raises(NoTcbLevelError):
        vectors["tdx_v5_no_tcb_level"].appraise()


@pytest.mark.parametrize("name", EVERY)
def test_refused_after_and_before_the_window(vectors, name):
    vector = vectors[name]
    for now in (vector.entry["not_after"] + 1, vector.entry["not_before"] - 3 * 86400):
        with pytest.raises(CollateralTimeError):
            vector.appraise(now=now)


@pytest.mark.parametrize("now", [-1, 1 << 40, 1 << 70])
def test_impossible_times(vectors, now):
    with pytest.raises(QuoteRefusedError):
        vectors["tdx_v5"].appraise(now=now)


@pytest.mark.parametrize("name", EVERY)
def test_refused_in_a_simulated_domain(vectors, world, name):
    with pytest.raises(AppraisalError):
        vectors[name].appraise(domain=world.domain)


@pytest.mark.parametrize("name", ACCEPTED)
def test_padding_changes_no_digest(vectors, name):
    vector = vectors[name]
    padded = vector.appraise(vector.quote + bytes(3000) + b"junk")
    assert padded == vector.appraise()
    assert padded.quote_sha256 == hashlib.sha256(parse_layout(vector.quote).quote).hexdigest()


def test_driver_padding_is_cut(quotes):
    data = (quotes / "tdx_v4_padded_parse_only.quote.bin").read_bytes()
    assert len(data) == 8000
    assert len(parse_layout(data).quote) == 4935


def test_occlum_quote_parses(quotes):
    layout = parse_layout((quotes / "sgx_v3_occlum_parse_only.quote.bin").read_bytes())
    assert (layout.tee, layout.version, layout.report_data) == ("sgx", 3, b"test".ljust(64, b"\0"))


def test_service_td_is_refused(quotes, vectors):
    """A TD whose memory a service TD may read does not pass, whatever collateral it comes with."""
    data = (quotes / "tdx_v5_servicetd_parse_only.quote.bin").read_bytes()
    vector = vectors["tdx_v5"]
    with pytest.raises(AppraisalError):
        vector.appraise(data, report_data=parse_layout(data).report_data)


def test_pck_chain_of_another_platform_is_dropped(vectors):
    """A collateral cache keyed by FMSPC serves every platform of that FMSPC."""
    cached = vectors["tdx_v4_c"]
    assert cached.collateral.pck_certificate_chain is not None
    claims = vectors["tdx_v4_a"].appraise(collateral=cached.collateral, now=cached.entry["now"])
    assert claims.tcb_status == "OutOfDate"
    assert claims.ppid != cached.appraise().ppid


def test_real_event_log_replays(quotes):
    document = json.loads((quotes / "tdx_v4_eventlog.json").read_bytes())
    log = document["event_log"]
    events = parse_event_log(log.encode() if isinstance(log, str) else json.dumps(log).encode())
    quote = bytes.fromhex(document["quote"])
    for imr in range(4):
        start = 48 + 328 + 48 * imr
        assert replay(events, imr) == quote[start : start + 48]


def test_log_must_replay_to_the_quote(vectors):
    vector = vectors["tdx_v4_a"]
    evidence = Evidence("tdx", vector.quote, b'[{"imr":3,"event":"x","digest":"' + b"00" * 48 + b'"}]')
    with pytest.raises(EventLogError):
        appraise(
            evidence,
            vector.collateral,
            report_data=vector.report_data,
            now=vector.entry["now"],
            domain=TrustDomain.intel(),
        )


def test_appraisal_is_fast(vectors, benchmark_seconds: Callable[[Callable[[], object]], float]):
    assert benchmark_seconds(vectors["tdx_v4_a"].appraise) < 0.25

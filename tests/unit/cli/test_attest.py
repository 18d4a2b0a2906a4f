"""`ppml-ops attest appraise` on real quotes: exit 0 only for allow, or for a quote that verifies."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Cli

QUOTES = Path(__file__).parent.parent.parent / "data" / "quotes"
VECTORS = json.loads((QUOTES / "vectors.json").read_text())


def test_a_real_tdx_quote_verifies_at_its_time(ppml: Cli) -> None:
    done = ppml(
        "attest", "appraise", QUOTES / "tdx_v4_a.quote.bin",
        "--collateral", QUOTES / "tdx_v4_a.collateral.json", "--at", "1752919234",
    )  # fmt: skip
    assert done.code == 0
    assert "UpToDate" in done.out
    assert "SIMULATED" not in done.out


@pytest.mark.parametrize(
    ("quote", "collateral", "at", "words"),
    [
        ("tdx_v4_a.quote.bin", "tdx_v4_a.collateral.json", "1999999999", "expired"),
        ("tdx_v4_a.quote.bin", "sgx_v3.collateral.json", "1752919234", ""),
        ("tdx_v5_no_tcb_level.quote.bin", "tdx_v5.collateral.json", "1774003274", "TCB"),
        ("vectors.json", "tdx_v4_a.collateral.json", "1752919234", "quote"),
    ],
)
def test_what_does_not_verify_is_denied(ppml: Cli, quote: str, collateral: str, at: str, words: str) -> None:
    done = ppml("attest", "appraise", QUOTES / quote, "--collateral", QUOTES / collateral, "--at", at)
    assert done.code == 77
    assert words.lower() in done.err.lower()


def test_a_policy_decides_with_reasons(ppml: Cli, tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    zeros = "0" * 96
    policy.write_text(
        "dataset: claims\nrelease:\n- purpose: [x]\n  tee: [tdx]\n  ticket: {required: false}\n"
        f"  measurements: {{mr_td: ['{zeros}'], rtmr1: ['{zeros}'], rtmr2: ['{zeros}'], rtmr3: ['{zeros}']}}\n"
    )
    done = ppml(
        "attest", "appraise", QUOTES / "tdx_v4_a.quote.bin", "--policy", policy,
        "--collateral", QUOTES / "tdx_v4_a.collateral.json", "--at", "1752919234",
    )  # fmt: skip
    assert done.code == 77
    assert "mr_td" in done.err


def test_a_missing_file_is_named(ppml: Cli) -> None:
    done = ppml("attest", "appraise", "nowhere.bin", "--collateral", "x")
    assert (done.code, "nowhere.bin" in done.err) == (78, True)

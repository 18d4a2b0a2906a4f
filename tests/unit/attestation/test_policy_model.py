"""Policies as text: what is refused, and that one policy has one digest."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from ppml_ops.attestation.policy_model import MAX_POLICY_BYTES, DataSetPolicy
from ppml_ops.errors import ConfigError

A = "a" * 96
GOOD = {
    "dataset": "claims-2026",
    "release": [
        {
            "purpose": ["risk-model"],
            "tee": ["tdx"],
            "measurements": {"mr_td": [A], "rtmr1": [A], "rtmr2": [A], "runner": [A], "rtmr3": "job_digest"},
            "lease": "10m",
        }
    ],
}


def parse(document):
    return DataSetPolicy.from_yaml(yaml.safe_dump(document))


def rule(**changes):
    document = deepcopy(GOOD)
    document["release"][0] |= changes
    return document


def test_digest_is_of_the_meaning_not_of_the_text():
    text = yaml.safe_dump(GOOD)
    other = f"# comment\n{yaml.safe_dump(rule(lease='600s', simulated=False, tcb={'status': ['UpToDate']}))}"
    upper = text.replace(A, A.upper())
    assert len({DataSetPolicy.from_yaml(t).digest for t in (text, other, upper)}) == 1
    assert parse(rule(lease="11m")).digest != parse(GOOD).digest


def test_yaml_round_trip():
    policy = parse(rule(tcb={"min_tcb_date": "2025-08-13", "max_collateral_age": "7d"}, simulated=True))
    assert DataSetPolicy.from_yaml(policy.to_yaml()) == policy


def test_no_rule_is_a_policy():
    assert DataSetPolicy.from_yaml("dataset: d").release == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"debug": True},
        {"debug": False},
        {"purpose": []},
        {"purpose": [""]},
        {"tee": []},
        {"tee": ["snp"]},
        {"tee": ["none"]},
        {"tee": ["none", "tdx"]},
        {"tee": ["sgx"]},
        {"tee": ["tdx", "sgx"]},
        {"measurements": None},
        {"measurements": {}},
        {"measurements": {"mr_td": [], "rtmr1": [A], "rtmr2": [A], "runner": [A]}},
        {"measurements": {"mr_td": [A], "rtmr1": [A], "rtmr2": [A]}},
        {"measurements": {"mr_td": [A], "rtmr1": [A], "rtmr2": [A], "runner": []}},
        {"measurements": {"mr_td": ["zz"], "rtmr1": [A], "rtmr2": [A], "runner": [A]}},
        {"measurements": {"mr_td": A, "rtmr1": [A], "rtmr2": [A], "runner": [A]}},
        {"measurements": {"mr_td": [A], "rtmr1": [A], "rtmr2": [A], "runner": [A], "rtmr3": "any"}},
        {"tcb": {"status": ["Revoked"]}},
        {"tcb": {"status": []}},
        {"tcb": {"max_collateral_age": "7 days"}},
        {"tcb": {"max_collateral_age": "0s"}},
        {"tcb": {"min_tcb_date": "soon"}},
        {"platform": {"smt": "maybe"}},
        {"platform": {"ppid_allow": ["1"]}},
        {"simulated": "yes please"},
        {"simulated": 1},
        {"ticket": {"required": "no"}},
        {"ticket": {"max_activations": 0}},
        {"lease": "forever"},
        {"lease": -1},
        {"clear_logs": "true"},
        {"unknown": 1},
    ],
)
def test_refused_rules(changes):
    with pytest.raises(ConfigError, match="unusable"):
        parse(rule(**changes))


@pytest.mark.parametrize(
    "sgx",
    [
        {},
        {"mr_signer": ["f" * 64]},
        {"mr_signer": ["f" * 64], "isv_prod_id": 1},
        {"isv_prod_id": 1, "min_isv_svn": 1},
        {"mr_enclave": []},
        {"mr_enclave": ["f" * 64], "isv_prod_id": 70000},
    ],
)
def test_sgx_rules_must_name_an_enclave(sgx):
    with pytest.raises(ConfigError):
        parse({"dataset": "d", "release": [{"purpose": ["p"], "tee": ["sgx"], "sgx": sgx}]})


@pytest.mark.parametrize("part", ["measurements", "sgx", "tcb", "platform"])
def test_no_tee_has_nothing_to_check(part):
    values = {"measurements": GOOD["release"][0]["measurements"], "sgx": {"mr_enclave": ["f" * 64]}}
    document = {"dataset": "d", "release": [{"purpose": ["p"], "tee": ["none"], part: values.get(part, {})}]}
    with pytest.raises(ConfigError, match=part):
        parse(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "[]",
        "dataset: d\ndataset: e",
        "dataset: D",
        "dataset: d\nrelease: {}",
        "dataset: d\nrelase: []",
        "a: &x 1\ndataset: *x",
        "<<: {dataset: d}\nrelease: []",
        "!!python/object/apply:os.system [id]",
        '!!int ""',
        "!!timestamp x",
        "!!bool x",
        "!!map [1]",
        "? [a]\n: 1",
        "1: 2",
        "dataset: !!binary x",
        "dataset: d\nx: 2025-99-99",
        "{" * 3000,
        "dataset: \x00",
        "a: 'b",
        "#" * (MAX_POLICY_BYTES + 1),
    ],
)
def test_refused_documents(text):
    with pytest.raises(ConfigError, match="unusable"):
        DataSetPolicy.from_yaml(text)


def test_unquoted_digits_get_advice():
    with pytest.raises(ConfigError, match="quotes"):
        DataSetPolicy.from_yaml(yaml.safe_dump(GOOD).replace(A, "0" * 96, 1))


def test_errors_say_where():
    with pytest.raises(ConfigError, match=r"release\.0\.simulated"):
        parse(rule(simulated="x"))


def test_files(tmp_path: Path):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    assert DataSetPolicy.load(path) == parse(GOOD)
    with pytest.raises(ConfigError, match=r"other\.yaml"):
        DataSetPolicy.load(tmp_path / "other.yaml")

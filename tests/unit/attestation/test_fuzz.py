"""Whatever comes in, only errors of our tree come out, and nothing changed ever passes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppml_ops.attestation.collateral import Collateral, CollateralStore
from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.layout import parse_layout
from ppml_ops.attestation.measure import parse_event_log
from ppml_ops.attestation.policy_model import DataSetPolicy
from ppml_ops.errors import PpmlError

FAST = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def fails_cleanly(action: Any, *arguments: Any, **named: Any) -> bool:
    try:
        action(*arguments, **named)
    except PpmlError:
        return True
    return False


def mutate(data: bytes, edits: list[tuple[int, int]], cut: int | None) -> bytes:
    changed = bytearray(data)
    for position, value in edits:
        changed[position % len(changed)] ^= value
    return bytes(changed[:cut] if cut is not None else changed)


EDITS = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(1, 255)), min_size=1, max_size=3)


@FAST
@given(data=st.binary(max_size=2000))
def test_random_quotes(vectors, data):
    assert fails_cleanly(parse_layout, data) or len(data) > 600
    assert fails_cleanly(vectors["tdx_v4_a"].appraise, data)
    assert fails_cleanly(CollateralStore(Path("/nowhere")).find, data)


@FAST
@given(data=st.binary(max_size=700), version=st.sampled_from([3, 4, 5]), tee=st.sampled_from([0, 0x81]))
def test_random_bodies_behind_a_good_start(vectors, data, version, tee):
    head = version.to_bytes(2, "little") + b"\x02\0" + tee.to_bytes(4, "little")
    assert fails_cleanly(vectors["sgx_v3"].appraise, head + data)


@FAST
@given(
    name=st.sampled_from(["sgx_v3", "tdx_v4_a", "tdx_v5"]), edits=EDITS, cut=st.none() | st.integers(0, 6000)
)
def test_mutated_quotes_never_pass(vectors, name, edits, cut):
    vector = vectors[name]
    original = parse_layout(vector.quote).quote
    changed = mutate(original, edits, cut)
    if changed[: len(original)] == original:
        return
    if not fails_cleanly(vector.appraise, changed):
        # What is not signed by anyone: PEM text around the certificates, and unused bytes behind a chain.
        assert changed[: len(original) - 4000] == original[: len(original) - 4000]


@FAST
@given(field=st.sampled_from(list(Collateral.model_fields)), edits=EDITS)
def test_mutated_collateral(vectors, field, edits):
    vector = vectors["tdx_v4_a"]
    value = getattr(vector.collateral, field) or "x" * 50
    text = mutate(value.encode(), edits, None).decode("latin-1")
    document = json.loads(vector.collateral.to_json()) | {field: text}

    def run() -> None:
        vector.appraise(collateral=Collateral.from_json(json.dumps(document)))

    fails_cleanly(run)


@FAST
@given(document=JSON)
def test_random_collateral(document):
    assert fails_cleanly(Collateral.from_json, json.dumps(document))


@FAST
@given(field=st.sampled_from(["tcb_info", "qe_identity"]), document=JSON)
def test_random_statements(vectors, field, document):
    bundle = vectors["tdx_v4_a"].collateral.model_copy(update={field: json.dumps(document)})
    assert fails_cleanly(bundle.facts)
    assert fails_cleanly(vectors["tdx_v4_a"].appraise, collateral=bundle)


@FAST
@given(data=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_random_event_logs(world, data):
    evidence = Evidence("tdx", world.evidence().quote, data)
    assert fails_cleanly(parse_event_log, data) or json.loads(data) == []
    assert fails_cleanly(world.appraise, evidence)


@FAST
@given(
    text=st.text(max_size=200)
    | st.binary(max_size=200)
    | JSON.map(json.dumps)
    | JSON.map(lambda value: json.dumps({"dataset": "d", "release": [value]}))
    | st.text(alphabet="!&*<>{}[]:-? \n\t'\"|%@`#ab01.,", max_size=60)
    | st.sampled_from(
        ["int", "float", "bool", "null", "timestamp", "binary", "omap", "pairs", "set", "map"]
    ).flatmap(lambda tag: st.text(max_size=8).map(lambda tail: f"dataset: !!{tag} {tail}"))
)
def test_random_policies(text):
    assert fails_cleanly(DataSetPolicy.from_yaml, text)


@pytest.mark.parametrize("tee", ["tdx", "sgx"])
def test_every_signed_byte_counts(worlds, tee):
    """One flipped bit anywhere in header, body, signature, key or QE report is refused."""
    world = worlds(tee=tee)
    evidence = world.evidence()
    end = len(evidence.quote) - len(world.pki.pck_chain) - 6
    collateral = world.collateral
    for position in range(0, end, 7):
        changed = mutate(evidence.quote, [(position, 1)], None)
        assert fails_cleanly(
            world.appraise, Evidence(evidence.tee, changed, evidence.event_log), collateral=collateral
        ), position

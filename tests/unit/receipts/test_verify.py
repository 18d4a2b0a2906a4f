"""What a third party can be told about a run, and every lie that does not pass."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from ppml_ops.broker.jose import public_jwk
from ppml_ops.broker.tickets import sign_ticket
from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.receipts.anchors import Anchors
from ppml_ops.receipts.receipt import Receipt
from ppml_ops.receipts.signed import sign_document
from ppml_ops.receipts.verify import verify_chain, verify_receipt
from tests.support.proof import Proof, run_in

PROOF = Proof(run_in(Path("/h")))
OTHER_RUN = Proof(run_in(Path("/h"), "another"), like=PROOF)
STRANGER = Proof(run_in(Path("/h")))  # the same run, told by somebody with keys of their own
GOOD = PROOF.receipt()
FAILURE = {"kind": "DeniedError", "what": "no key", "who": "the data owner", "next_step": "look"}


def resigned(change: Callable[[dict[str, Any]], None], proof: Proof = PROOF) -> bytes:
    """A receipt that the orchestrator's own key signs after a change."""
    document = json.loads(json.dumps(proof.document()))
    change(document)
    return canonical_json(sign_document(document, proof.signer))


def record_of(document: dict[str, Any], stage: str) -> dict[str, Any]:
    found: dict[str, Any] = next(record for record in document["records"] if record["stage"] == stage)
    return found


def test_a_proven_run_verifies() -> None:
    verified = verify_receipt(GOOD, PROOF.anchors)
    assert verified.proven
    assert verified.simulated
    assert verified.chain_is_whole


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_every_changed_byte_is_noticed(place: int, change: int) -> None:
    changed = bytearray(GOOD)
    changed[place] ^= change
    with pytest.raises(IntegrityError, match="not authentic"):
        verify_receipt(bytes(changed), PROOF.anchors)


@pytest.mark.parametrize(
    "data", [GOOD + b"\n", b" " + GOOD, GOOD[:-1], b"", b"null", b"[" * 100_000, b'{"a":NaN}']
)
def test_other_spellings_and_rubbish_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="not authentic"):
        verify_receipt(data, PROOF.anchors)


@pytest.mark.parametrize(
    "anchors",
    [
        STRANGER.anchors,
        PROOF.anchors.model_copy(update={"receipt_signers": STRANGER.anchors.receipt_signers}),
        PROOF.anchors.model_copy(update={"owner_keys": STRANGER.anchors.owner_keys}),
        PROOF.anchors.model_copy(update={"broker_keys": STRANGER.anchors.broker_keys}),
        PROOF.anchors.model_copy(update={"receipt_signers": ()}),
        PROOF.anchors.model_copy(update={"trust_domain": "0" * 64}),
    ],
)
def test_wrong_anchors_verify_nothing(anchors: Anchors) -> None:
    with pytest.raises(IntegrityError, match="not authentic"):
        verify_receipt(GOOD, anchors)


@pytest.mark.parametrize("signer", ["ours", "named as ours", "broker", "owner"])
def test_a_receipt_signed_anew_with_another_key_is_refused(signer: str) -> None:
    keys = {"broker": PROOF.broker, "owner": PROOF.owner}
    document = sign_document(PROOF.document(), keys.get(signer, STRANGER.signer))
    if signer == "named as ours":
        document["signer"] = PROOF.signer.thumbprint()
    with pytest.raises(IntegrityError, match=r"signer|signature"):
        verify_receipt(canonical_json(document), PROOF.anchors)


def without_releases(document: dict[str, Any]) -> None:
    document["evidence"]["releases"] = []


def without_releases_and_records_of_them(document: dict[str, Any]) -> None:
    without_releases(document)
    record_of(document, "submit")["facts"]["releases"] = []


def releases_of_another_run(document: dict[str, Any]) -> None:
    document["evidence"]["releases"] = [r.model_dump(mode="json") for r in OTHER_RUN.releases]
    record_of(document, "submit")["facts"]["releases"] = [r.digest for r in OTHER_RUN.releases]


def releases_by_a_stranger(document: dict[str, Any]) -> None:
    document["evidence"]["releases"] = [r.model_dump(mode="json") for r in STRANGER.releases]
    record_of(document, "submit")["facts"]["releases"] = [r.digest for r in STRANGER.releases]


def first_release_dropped(document: dict[str, Any]) -> None:
    del document["evidence"]["releases"][0]
    del record_of(document, "submit")["facts"]["releases"][0]


def last_release_dropped(document: dict[str, Any]) -> None:
    del document["evidence"]["releases"][1]


def releases_exchanged(document: dict[str, Any]) -> None:
    document["evidence"]["releases"].reverse()
    record_of(document, "submit")["facts"]["releases"].reverse()


def release_rewritten(document: dict[str, Any]) -> None:
    document["evidence"]["releases"][0]["body"]["simulated"] = False


def evidence_of_another_run(document: dict[str, Any]) -> None:
    document["evidence"] = OTHER_RUN.evidence.model_dump(mode="json")
    for record, other in zip(document["records"], OTHER_RUN.records(), strict=True):
        record["facts"] = other.model_dump(mode="json")["facts"]


def ticket_of_another_run(document: dict[str, Any]) -> None:
    document["evidence"]["ticket"] = OTHER_RUN.ticket


def ticket_by_a_stranger(document: dict[str, Any]) -> None:
    issuer = STRANGER.owner.thumbprint()
    document["evidence"]["ticket"] = sign_ticket(
        PROOF.claims.model_copy(update={"iss": issuer}), STRANGER.owner
    )


def no_ticket(document: dict[str, Any]) -> None:
    document["evidence"]["ticket"] = None
    without_releases(document)


def another_job(document: dict[str, Any]) -> None:
    document["evidence"]["job"]["arguments"] = ["--job", "Spy"]


def no_job(document: dict[str, Any]) -> None:
    document["evidence"]["job"] = None


def no_manifests(document: dict[str, Any]) -> None:
    document["evidence"]["manifests"] = []


def another_input(document: dict[str, Any]) -> None:
    document["evidence"]["manifests"][0] = OTHER_RUN.input.document()


def another_result(document: dict[str, Any]) -> None:
    document["evidence"]["manifests"][1] = OTHER_RUN.result.document()
    for record in document["records"]:
        if "results" in record["facts"]:
            record["facts"]["results"] = {PROOF.result.dataset: OTHER_RUN.result.digest}


def another_day(document: dict[str, Any]) -> None:
    document["run"]["day"] = "2026-11-19"


def another_run_key(document: dict[str, Any]) -> None:
    document["run"] = OTHER_RUN.run.identity.model_dump(mode="json")


def other_measurements(document: dict[str, Any]) -> None:
    record_of(document, "submit")["facts"]["measurements"] = {"tee": "tdx", "mr_td": "00" * 48}


def other_policies(document: dict[str, Any]) -> None:
    record_of(document, "submit")["facts"]["policies"] = {"sim-people": "2" * 64}


def not_simulated(document: dict[str, Any]) -> None:
    record_of(document, "attest")["facts"]["simulated"] = False


def another_generation(document: dict[str, Any]) -> None:
    record_of(document, "submit")["facts"]["generation"] = "x-g7"


def a_stage_twice(document: dict[str, Any]) -> None:
    document["records"].append(document["records"][0])


def a_stage_dropped(document: dict[str, Any]) -> None:
    document["records"] = [record for record in document["records"] if record["stage"] != "decrypt"]


def a_failed_stage(document: dict[str, Any]) -> None:
    record_of(document, "merge").update(outcome="failed", failure=FAILURE)


def stages_left_out(document: dict[str, Any]) -> None:
    gone = ("decrypt", "clean_up", "retire_ticket")
    document["stages"] = [stage for stage in document["stages"] if stage not in gone]
    document["records"] = [record for record in document["records"] if record["stage"] not in gone]


def a_stage_of_a_node(document: dict[str, Any]) -> None:
    record_of(document, "decrypt")["index"] = "node-a"


def facts_left_out(document: dict[str, Any]) -> None:
    record_of(document, "issue_ticket")["facts"] = {}


def facts_of_another_kind(document: dict[str, Any]) -> None:
    record_of(document, "submit")["facts"]["generation"] = ["x"]


ATTACKS = [
    stages_left_out, a_stage_of_a_node, facts_left_out, facts_of_another_kind,
    without_releases, without_releases_and_records_of_them, releases_of_another_run, releases_by_a_stranger,
    first_release_dropped, last_release_dropped, releases_exchanged, release_rewritten, evidence_of_another_run,
    ticket_of_another_run, ticket_by_a_stranger, no_ticket, another_job, no_job, no_manifests, another_input,
    another_result, another_day, another_run_key, other_measurements, other_policies, not_simulated,
    another_generation, a_stage_twice, a_stage_dropped, a_failed_stage,
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_the_receipt_key_alone_can_not_claim_a_run(attack: Callable[[dict[str, Any]], None]) -> None:
    """Whoever holds the receipt key, but neither the owner's nor the broker's, signs what did not happen."""
    with pytest.raises(IntegrityError, match="not authentic"):
        verify_receipt(resigned(attack), PROOF.anchors)


@pytest.mark.parametrize(
    "change",
    [
        {"job_digest": "0" * 96},
        {"run_key": "another"},
        {"issuer": "x" * 43},
        {"ticket_digest": "0" * 64},
        {"event": "denial"},
        {"ticket": "0" * 32},
        {"at": 1},
        {"datasets": []},
        {"datasets": [{"dataset": "sim-people"}, {"dataset": "sim-result"}]},
        {"measurements": None},
        {"measurements": {"tee": "tdx", "job_digest": "0" * 96}},
        {"attested": False},
        {"simulated": False},
        {"trust_domain": "0" * 64},
    ],
)
def test_a_release_that_the_broker_signed_for_something_else_proves_nothing(change: dict[str, Any]) -> None:
    proof = Proof(PROOF.run, like=PROOF)
    proof.releases[1] = proof.release(2, **change)
    with pytest.raises(IntegrityError, match="not authentic"):
        verify_receipt(proof.receipt(), PROOF.anchors)


def failed_early(document: dict[str, Any]) -> None:
    document.update(proven=False, problems=["submit left no record: it did not run"])
    document["records"] = document["records"][:3]
    document["evidence"] = {"ticket": None, "job": None, "releases": [], "manifests": []}


def failed_late(document: dict[str, Any]) -> None:
    a_failed_stage(document)
    document.update(proven=False, problems=["merge failed: no key"])


@pytest.mark.parametrize("change", [failed_early, failed_late])
def test_the_receipt_of_a_failed_run_is_authentic_and_not_proven(
    change: Callable[[dict[str, Any]], None],
) -> None:
    verified = verify_receipt(resigned(change), PROOF.anchors)
    assert not verified.proven
    assert verified.problems


def test_a_failed_run_can_not_borrow_the_releases_of_another() -> None:
    def change(document: dict[str, Any]) -> None:
        failed_late(document)
        releases_of_another_run(document)

    with pytest.raises(IntegrityError, match="another ticket"):
        verify_receipt(resigned(change), PROOF.anchors)


def chained() -> list[bytes]:
    first = PROOF.receipt(proven=False, problems=["x"])
    second = PROOF.receipt(number=2, previous=sha256_hex(first))
    return [first, second, PROOF.receipt(number=3, previous=sha256_hex(second))]


def test_a_whole_chain_verifies_and_a_late_receipt_alone_says_so() -> None:
    files = chained()
    assert verify_chain(files, PROOF.anchors).chain_is_whole
    alone = verify_chain(files[2:], PROOF.anchors)
    assert alone.proven
    assert not alone.chain_is_whole


@pytest.mark.parametrize(
    "order", [(0, 2), (1, 0), (0, 0), (0, 1, 0), (0, 1, 1)], ids=["gap", "reversed", "twice", "replay", "again"]
)
def test_an_older_receipt_can_not_pass_for_the_newest_among_the_others(order: tuple[int, ...]) -> None:
    files = chained()
    with pytest.raises(IntegrityError, match="chain"):
        verify_chain([files[number] for number in order], PROOF.anchors)


def test_another_run_does_not_continue_a_chain() -> None:
    other = OTHER_RUN.receipt(number=2, previous=sha256_hex(GOOD))
    with pytest.raises(IntegrityError, match="another run"):
        verify_chain([GOOD, other], PROOF.anchors)


def test_a_first_receipt_has_no_former_one() -> None:
    with pytest.raises(IntegrityError, match="number"):
        verify_chain([PROOF.receipt(previous="0" * 64)], PROOF.anchors)


@pytest.mark.parametrize(
    "change",
    [
        {"ppml": "receipt-anchors/2"},
        {"broker_keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]},
        {"broker_keys": [public_jwk(PROOF.broker) | {"crv": "Ed448"}]},
        {"receipt_signers": "all"},
        {"trust_domain": "x"},
        {"more": 1},
    ],
)
def test_anchors_that_are_none_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="trust anchors"):
        Anchors.parse(json.dumps(PROOF.anchors.document() | change).encode())


def test_anchors_survive_a_file_and_hold_no_private_key() -> None:
    assert Anchors.parse(json.dumps(PROOF.anchors.document()).encode()) == PROOF.anchors
    private = OKPKey.generate_key("Ed25519").as_dict(private=True)
    parsed = PROOF.anchors.document() | {"owner_keys": [private]}
    with pytest.raises(ConfigError, match="trust anchors"):
        Anchors.parse(json.dumps(parsed).encode())


def test_a_receipt_is_its_own_canonical_form() -> None:
    assert Receipt.parse(GOOD).encode() == GOOD

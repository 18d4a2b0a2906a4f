"""What proves a run, and every way in which records can fall short of it."""

from typing import Any

import pytest

from ppml_ops.receipts.judge import STAGES, judge
from ppml_ops.receipts.records import Failure, StageRecord

TICKET, DIGEST, INPUT, JOB = "a" * 32, "d" * 64, "e" * 64, "f" * 96
OF_RESULT: dict[str, Any] = {"ticket": TICKET, "results": {"out": DIGEST}}
FACTS: dict[str, dict[str, Any]] = {
    "encrypt_upload@people": {"dataset": "people", "manifest_digest": INPUT},
    "issue_ticket": {"ticket": TICKET, "job_digest": JOB, "inputs": {"people": INPUT}},
    "distribute": {"inputs": {"people": INPUT}},
    "attest": {"allow": True, "job_digest": JOB},
    "submit": OF_RESULT | {"job_digest": JOB, "nodes": ["node-a", "node-b"], "releases": ["r"]},
    "gather@node-a": OF_RESULT,
    "gather@node-b": OF_RESULT,
    "merge": OF_RESULT,
    "decrypt": OF_RESULT | {"matches_expected": True},
    "verify_run": OF_RESULT,
    "retire_ticket": {"ticket": TICKET},
    "clean_up": {"ticket": TICKET},
}


INDEXED = {"gather": ["gather@node-a", "gather@node-b"], "encrypt_upload": ["encrypt_upload@people"]}


def record(name: str, at: float, **change: Any) -> StageRecord:
    stage, _, index = name.partition("@")
    values = {"outcome": "done", "started": at, "finished": at + 0.5, "facts": FACTS.get(name, {})} | change
    return StageRecord(stage=stage, index=index or None, **values)


def proving() -> dict[str, StageRecord]:
    names = [name for stage in STAGES for name in INDEXED.get(stage, [stage])]
    return {name: record(name, float(number)) for number, name in enumerate(names)}


def test_complete_and_consistent_records_prove_the_run() -> None:
    assert judge(proving()) == []


@pytest.mark.parametrize("name", list(proving()))
def test_every_missing_record_is_a_problem(name: str) -> None:
    records = proving()
    del records[name]
    assert judge(records)


@pytest.mark.parametrize("name", list(proving()))
def test_every_failed_stage_is_a_problem_and_named(name: str) -> None:
    failure = Failure(kind="DeniedError", what="the reason", who="x", next_step="y")
    records = proving() | {name: record(name, 50.0, outcome="failed", failure=failure)}
    assert any(name in problem and "the reason" in problem for problem in judge(records))


@pytest.mark.parametrize("name", ["submit", "gather@node-a", "merge", "decrypt", "verify_run"])
def test_another_result_is_a_problem(name: str) -> None:
    records = proving() | {name: record(name, 50.0, facts=FACTS[name] | {"results": {"out": "e" * 64}})}
    assert judge(records)


@pytest.mark.parametrize(
    "name", ["submit", "gather@node-b", "merge", "decrypt", "verify_run", "retire_ticket", "clean_up"]
)
def test_a_record_of_an_earlier_ticket_is_stale(name: str) -> None:
    records = proving() | {name: record(name, 50.0, facts=FACTS[name] | {"ticket": "b" * 32})}
    assert any("stale" in problem for problem in judge(records))


def test_a_ticket_that_was_confirmed_later_still_covers_the_job() -> None:
    """issue_ticket runs again on nearly every clear and keeps a ticket that fits."""
    records = proving() | {"issue_ticket": record("issue_ticket", 12.1)}
    assert judge(records) == []


def test_cleaning_older_than_the_ticket_is_stale() -> None:
    assert any("clean_up" in problem for problem in judge(proving() | {"clean_up": record("clean_up", 0.0)}))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("submit", {"nodes": []}),
        ("submit", {"nodes": ["node-a", "node-b", "node-c"]}),
        ("submit", {"releases": []}),
        ("submit", {"results": None}),
        ("encrypt_upload@people", {"manifest_digest": "0" * 64}),
        ("issue_ticket", {"ticket": TICKET, "inputs": {}}),
        ("issue_ticket", {"ticket": TICKET, "job_digest": "0" * 96}),
        ("distribute", {"inputs": {"people": "0" * 64}}),
        ("attest", {"job_digest": "0" * 96}),
        ("submit", {"job_digest": "0" * 96}),
        ("attest", {"allow": False}),
        ("attest", {"allow": "yes"}),
        ("decrypt", {"matches_expected": False}),
    ],
)
def test_facts_that_do_not_prove(name: str, change: dict[str, Any]) -> None:
    assert judge(proving() | {name: record(name, 50.0, facts=FACTS[name] | change)})


def test_an_expectation_that_nobody_knows_is_no_problem() -> None:
    records = proving()
    records["decrypt"] = record("decrypt", 11.0, facts=OF_RESULT | {"matches_expected": None})
    assert judge(records) == []


def test_inputs_that_are_read_in_place_need_no_encrypt_upload() -> None:
    def judged(in_place: dict[str, str]) -> list[str]:
        records = proving()
        del records["encrypt_upload@people"]
        facts = FACTS["issue_ticket"] | {"in_place": in_place}
        records["issue_ticket"] = record("issue_ticket", 4.0, facts=facts)
        return judge(records)

    assert judged({"people": "file:///sealed"}) == []
    assert judged({"other": "file:///sealed"}) == ["encrypt_upload left no record: it did not run"]
    records = proving() | {"encrypt_upload@more": record("encrypt_upload@more", 3.0, facts={"dataset": "more"})}
    facts = FACTS["issue_ticket"] | {"inputs": {"people": INPUT, "more": INPUT}}
    records["issue_ticket"] = record("issue_ticket", 4.0, facts=facts)
    assert any("another version of more" in problem for problem in judge(records))

"""Does a set of stage records prove that a run did what its DAG says? Pure: records in, problems out."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from ppml_ops.receipts.records import StageRecord

#: Every stage that must have left a record, in the order of the life cycle.
STAGES = (
    "open_run",
    "preflight",
    "generate_key",
    "encrypt_upload",
    "issue_ticket",
    "distribute",
    "attest",
    "submit",
    "gather",
    "merge",
    "decrypt",
    "verify_run",
    "retire_ticket",
    "clean_up",
)
#: Stages that worked under the run's current ticket; a record of an earlier ticket is stale.
_UNDER_TICKET = ("submit", "gather", "merge", "decrypt", "verify_run", "retire_ticket", "clean_up")
#: Teardowns that must have run since the ticket was issued or confirmed last.
_CLEANING = ("retire_ticket", "clean_up")
#: Stages that must speak of one and the same result manifest.
_OF_RESULT = ("submit", "gather", "merge", "decrypt", "verify_run")


def judge(records: Mapping[str, StageRecord], stages: Sequence[str] = STAGES) -> list[str]:
    """Everything that keeps `records` from proving the run; empty when they prove it.

    Args:
        records: by name, as `Records.all` gives them.
        stages: the stages that the DAG has.
    """
    problems: list[str] = []
    for stage in stages:
        of_stage = [record for record in records.values() if record.stage == stage]
        if stage == "encrypt_upload" and not of_stage and _all_in_place(records):
            continue
        if not of_stage:
            problems.append(f"{stage} left no record: it did not run")
        problems += [
            f"{record.name} failed: {record.failure.what if record.failure else 'no reason recorded'}"
            for record in of_stage
            if record.outcome == "failed"
        ]
    if problems:
        return problems
    return [*_ticket(records), *_input(records), *_result(records), *_nodes(records), *_verdict(records)]


def _ticket(records: Mapping[str, StageRecord]) -> list[str]:
    issued = records["issue_ticket"]
    return [
        f"{record.name} worked under another ticket than the one issued last: its record is stale, clear it"
        for record in records.values()
        if record.stage in _UNDER_TICKET
        and (
            record.facts.get("ticket") != issued.facts["ticket"]
            or (record.stage in _CLEANING and record.finished < issued.started)
        )
    ]


def _input(records: Mapping[str, StageRecord]) -> list[str]:
    """A clear may leave distribute and attest as they were, but only for the ticket's own input and job."""
    issued = records["issue_ticket"].facts
    inputs, in_place = _mapping(issued, "inputs"), _mapping(issued, "in_place")
    sealed = {
        record.facts.get("dataset"): record.facts.get("manifest_digest")
        for record in records.values()
        if record.stage == "encrypt_upload"
    }
    problems = [
        f"the ticket is for another version of {dataset} than encrypt_upload left: clear it"
        for dataset, digest in inputs.items()
        if dataset not in in_place and sealed.get(dataset) != digest
    ]
    if not inputs:
        problems.append("the ticket names no input")
    if records["distribute"].facts.get("inputs") != issued.get("inputs"):
        problems.append("distribute placed another input than the ticket's: its record is stale, clear it")
    for stage in ("attest", "submit"):
        if records[stage].facts.get("job_digest") != issued.get("job_digest"):
            problems.append(f"{stage} was of another job than the ticket's: its record is stale, clear it")
    return problems


def _all_in_place(records: Mapping[str, StageRecord]) -> bool:
    """All inputs were sealed before this run and are read where they lie."""
    issued = records["issue_ticket"].facts if "issue_ticket" in records else {}
    return bool(_mapping(issued, "inputs")) and set(_mapping(issued, "inputs")) <= set(
        _mapping(issued, "in_place")
    )


def _mapping(facts: Mapping[str, JsonValue], name: str) -> dict[str, JsonValue]:
    value = facts.get(name)
    return value if isinstance(value, dict) else {}


def _result(records: Mapping[str, StageRecord]) -> list[str]:
    results = _mapping(records["submit"].facts, "results")
    problems = [
        f"{record.name} speaks of another result than submit published"
        for record in records.values()
        if record.stage in _OF_RESULT and (not results or record.facts.get("results") != results)
    ]
    if records["decrypt"].facts.get("matches_expected") is False:
        problems.append("the opened result differs from what is expected")
    return problems


def _nodes(records: Mapping[str, StageRecord]) -> list[str]:
    nodes = records["submit"].facts.get("nodes")
    expected = {str(node) for node in nodes} if isinstance(nodes, list) else set()
    gathered = {record.index for record in records.values() if record.stage == "gather"}
    problems = [f"node {node} was not gathered" for node in sorted(expected - gathered)]
    if not expected:
        problems.append("submit named no node to gather from")
    return problems


def _verdict(records: Mapping[str, StageRecord]) -> list[str]:
    problems = []
    if records["attest"].facts.get("allow") is not True:
        problems.append("attest recorded no verdict that allows the run")
    if not records["submit"].facts.get("releases"):
        problems.append("the broker has no record of releasing a key to this job")
    return problems

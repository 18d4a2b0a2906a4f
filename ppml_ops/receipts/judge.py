"""Does a set of stage records prove that a run did what its DAG says? Pure: records in, problems out."""

from collections.abc import Mapping, Sequence

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
    inputs = issued.get("inputs")
    sealed = records["encrypt_upload"].facts
    problems = []
    if not isinstance(inputs, dict) or sealed.get("manifest_digest") not in inputs.values():
        problems.append("the ticket is for another input than encrypt_upload left: clear it")
    if records["distribute"].facts.get("inputs") != inputs:
        problems.append("distribute placed another input than the ticket's: its record is stale, clear it")
    for stage in ("attest", "submit"):
        if records[stage].facts.get("job_digest") != issued.get("job_digest"):
            problems.append(f"{stage} was of another job than the ticket's: its record is stale, clear it")
    return problems


def _result(records: Mapping[str, StageRecord]) -> list[str]:
    digest = records["submit"].facts.get("manifest_digest")
    problems = [
        f"{record.name} speaks of another result than submit published"
        for record in records.values()
        if record.stage in _OF_RESULT and (digest is None or record.facts.get("manifest_digest") != digest)
    ]
    opened = records["decrypt"].facts
    if opened.get("matches_expected") is False:
        problems.append("the opened result differs from the expected rows")
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

"""What others signed about a run, and whether it says the same as the run's stage records. Pure.

The records are the orchestrator's own word. The ticket is the owner's, the release records are the broker's;
here they are only compared, `ppml_ops.receipts.verify` checks their signatures.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ppml_ops.broker.audit_record import AuditRecord
from ppml_ops.broker.jwe import unb64url
from ppml_ops.broker.tickets import CLOCK_SKEW_SECONDS, ReadBinding, TicketClaims
from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.datasets.manifest import Manifest, parse_manifest
from ppml_ops.datasets.promise import keeps_promise, written_by
from ppml_ops.errors import PpmlError
from ppml_ops.receipts.records import StageRecord
from ppml_ops.spark.job import parse_job


class Evidence(BaseModel):
    """The documents that stand behind the records; a run that failed early has few of them.

    Attributes:
        ticket: the job ticket issued last, compact JWS of the owner.
        job: the SparkJob that it was signed for.
        releases: what the broker signed when it released keys to this ticket, oldest first.
        manifests: of the inputs and of the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ticket: str | None = Field(None, max_length=1 << 20)
    job: dict[str, JsonValue] | None = None
    releases: tuple[AuditRecord, ...] = ()
    manifests: tuple[dict[str, JsonValue], ...] = ()


def read_claims(ticket: str) -> TicketClaims:
    """What a ticket says, without its signature.

    Raises:
        ValueError: not a ticket.
    """
    parts = ticket.split(".")
    if len(parts) != 3 or not ticket.isascii():
        raise ValueError("not a compact JWS")
    return TicketClaims.model_validate_json(unb64url(parts[1]))


def evidence_problems(run_key: str, records: Mapping[str, StageRecord], evidence: Evidence) -> list[str]:
    """Where the evidence does not stand behind `records`, which prove the run as far as they go."""
    if evidence.ticket is None:
        return ["the receipt holds no ticket"]
    try:
        claims = read_claims(evidence.ticket)
    except (ValueError, RecursionError):
        return ["the ticket can't be read"]
    return [
        *_ticket(run_key, records, claims),
        *_job(claims, evidence.job),
        *_releases(records, claims, evidence),
        *_manifests(records, claims, evidence.manifests),
    ]


def _ticket(run_key: str, records: Mapping[str, StageRecord], claims: TicketClaims) -> Iterator[str]:
    issued = records["issue_ticket"].facts
    if claims.run_key != run_key:
        yield "the ticket is of another run"
    if claims.jti != issued.get("ticket"):
        yield "the ticket is not the one that issue_ticket recorded"
    if claims.job_digest != issued.get("job_digest"):
        yield "the ticket is for another job than issue_ticket recorded"
    if _inputs(claims) != issued.get("inputs"):
        yield "the ticket is for other inputs than issue_ticket recorded"


def _inputs(claims: TicketClaims) -> dict[str, str]:
    return {b.dataset: b.manifest_digest for b in claims.datasets if isinstance(b, ReadBinding)}


def _job(claims: TicketClaims, job: dict[str, JsonValue] | None) -> Iterator[str]:
    if job is None:
        yield "the receipt holds no job"
        return
    try:
        digest = parse_job(canonical_json(job)).job_digest
    except PpmlError:
        yield "the job can't be read"
        return
    if digest != claims.job_digest:
        yield "the job is not the one that the ticket was signed for"


def _releases(records: Mapping[str, StageRecord], claims: TicketClaims, evidence: Evidence) -> Iterator[str]:
    submitted, attested = records["submit"].facts, records["attest"].facts
    assert evidence.ticket is not None
    wanted = {
        "event": "release",
        "trust_domain": claims.aud,
        "ticket": claims.jti,
        "ticket_digest": sha256_hex(evidence.ticket.encode("ascii")),
        "run_key": claims.run_key,
        "issuer": claims.iss,
        "job_digest": claims.job_digest,
        "purpose": claims.purpose,
        "simulated": attested.get("simulated"),
        "attested": attested.get("attested"),
    }
    for number, record in enumerate(evidence.releases, 1):
        body = record.body.model_dump(mode="json")
        for name, value in wanted.items():
            if body.get(name) != value:
                yield f"release {number}: {name} is {_short(body.get(name))}, wanted {_short(value)}"
        if not str(body.get("generation")).startswith(f"{claims.run_key}-g"):
            yield f"release {number} is of a generation of another run"
        if body.get("activation") != number:
            got = _short(body.get("activation"))
            yield f"release {number} of the ticket is missing: in its place is activation {got}"
        if not claims.nbf - CLOCK_SKEW_SECONDS <= record.body.at < claims.exp + CLOCK_SKEW_SECONDS:
            yield f"release {number} lies outside of the ticket's time"
        yield from _measured(number, body, claims)
        if not _same_datasets(body.get("datasets"), claims):
            yield f"release {number} is of other data sets than the ticket's"
    digests = [record.digest for record in evidence.releases]
    if not digests or digests != submitted.get("releases"):
        yield "the broker's release records are not those that submit recorded"
        return
    last = evidence.releases[-1].body
    for name in ("measurements", "policies"):
        if last.get(name) != submitted.get(name):
            yield f"submit recorded other {name} than the broker signed"
    if submitted.get("generation") not in {record.body.get("generation") for record in evidence.releases}:
        yield "no key was released to the generation that submit recorded"


def _measured(number: int, body: dict[str, Any], claims: TicketClaims) -> Iterator[str]:
    """A TD shows which job it runs; what an enclave runs is for the policy that pins it."""
    measurements = body.get("measurements")
    if not isinstance(measurements, dict):
        yield f"release {number} says nothing about the TEE"
    elif measurements.get("tee") == "tdx" and measurements.get("job_digest") != claims.job_digest:
        yield f"release {number}: the TD had measured another job than the ticket's"


def _same_datasets(released: Any, claims: TicketClaims) -> bool:
    if not isinstance(released, list) or len(released) != len(claims.datasets):
        return False
    for one, binding in zip(released, claims.datasets, strict=True):
        facts = binding.model_dump(mode="json", include={"dataset", "mode", "version", "data_key_id"})
        facts["manifest_digest"] = getattr(binding, "manifest_digest", None)
        if not isinstance(one, dict) or {name: one.get(name) for name in facts} != facts:
            return False
        if one.get("key") not in {wrap.key for wrap in binding.wraps}:
            return False
    return True


def _manifests(
    records: Mapping[str, StageRecord], claims: TicketClaims, documents: tuple[dict[str, JsonValue], ...]
) -> Iterator[str]:
    try:
        manifests = [parse_manifest(canonical_json(document)) for document in documents]
    except (PpmlError, ValueError):
        yield "a manifest can't be read"
        return
    by_digest: dict[str, Manifest] = {manifest.digest: manifest for manifest in manifests}
    for binding in claims.datasets:
        if isinstance(binding, ReadBinding):
            found = by_digest.get(binding.manifest_digest)
            if found is None or (found.dataset, found.version) != (binding.dataset, binding.version):
                yield f"the receipt has no manifest of the input {binding.dataset} that the ticket names"
    results = records["submit"].facts.get("results")
    digests = results if isinstance(results, dict) else {}
    if set(digests) != {promised.dataset for promised in written_by(claims)}:
        yield "submit recorded other results than the ticket lets the job write"
    for promised in written_by(claims):
        result = by_digest.get(str(digests.get(promised.dataset)))
        if result is None:
            yield f"the receipt has no manifest of the result {promised.dataset}"
        elif not keeps_promise(result, promised):
            yield f"the result {promised.dataset} is not what the ticket lets the job write"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"

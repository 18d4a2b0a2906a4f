"""The evidence behind a run's records, collected for its receipt; what is gone or damaged is left out.

The receipt then says what is missing; a failed run gets a receipt whatever state its folder is in.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter

from ppml_ops.broker.audit_record import AuditRecord
from ppml_ops.broker.tickets import TicketClaims
from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.promise import read_by
from ppml_ops.errors import PpmlError
from ppml_ops.files import private_dir, write_private
from ppml_ops.lifecycle.inputs import input_store
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, ticket_text
from ppml_ops.receipts.evidence import Evidence, read_claims
from ppml_ops.receipts.records import StageRecord
from ppml_ops.spark.job import parse_job

_RECORDS = TypeAdapter(list[AuditRecord])


def keep_releases(run: Run, jti: str, records: Sequence[AuditRecord]) -> None:
    """Keep what the broker signed about its releases to the ticket `jti`: the receipt needs no broker."""
    folder = private_dir(run.folder / "releases")
    write_private(
        folder / f"{jti}.json", canonical_json([record.model_dump(mode="json") for record in records])
    )


def collect_evidence(run: Run) -> Evidence:
    """Ticket, job, release records and manifests of the run as far as it got."""
    found: dict[str, Any] = {}
    with suppress(PpmlError, OSError, ValueError, RecursionError):
        jti = current_ticket(run)
        found["ticket"] = ticket_text(run, jti)
        claims = read_claims(found["ticket"])
        with suppress(PpmlError, OSError):
            found["job"] = parse_job(run.job_file.read_bytes()).model_dump(mode="json")
        with suppress(OSError, ValueError):
            records = json.loads((run.folder / "releases" / f"{jti}.json").read_bytes())
            found["releases"] = _RECORDS.validate_json(json.dumps(records))
        found["manifests"] = list(_manifests(run, claims))
    return Evidence(**found)


def _manifests(run: Run, claims: TicketClaims) -> Iterator[dict[str, Any]]:
    in_place = run.records.facts("issue_ticket")["in_place"]
    for binding in read_by(claims):
        with suppress(PpmlError, OSError):
            yield input_store(run, binding.dataset, in_place).read(binding.version).document()
    merged: StageRecord | None = run.records.all().get("merge")
    versions = merged.facts.get("versions") if merged and merged.outcome == "done" else None
    for dataset, version in versions.items() if isinstance(versions, dict) else ():
        if isinstance(version, int):
            with suppress(PpmlError, OSError):
                yield run.dataset(dataset).read(version).document()

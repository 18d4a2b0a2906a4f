"""The run key: one short name of a run, in every path, label, ticket and receipt."""

import hashlib
import re
from datetime import date


def run_key(dag_id: str, run_id: str, day: date) -> str:
    """`<dag, at most 20>-<yyyymmdd>-<12 hex of SHA-256(dag id, 0, run id)>`: safe in paths and labels."""
    slug = re.sub(r"[^a-z0-9]+", "-", dag_id.lower()).strip("-")[:20].strip("-") or "dag"
    return f"{slug}-{day:%Y%m%d}-{ids_digest(dag_id, run_id)}"


def ids_digest(dag_id: str, run_id: str) -> str:
    """The end of a run key: 12 hex digits that tell runs apart whatever their day."""
    return hashlib.sha256(f"{dag_id}\0{run_id}".encode()).hexdigest()[:12]

"""The receipt of a run: verdict over its stage records, written for failed runs too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.files import create_only
from ppml_ops.receipts.judge import STAGES, judge
from ppml_ops.receipts.records import Records, StageRecord


class Receipt(BaseModel):
    """What happened in one run and whether that is proven; times are Unix seconds.

    `previous` is the digest of the receipt before, when stages were cleared and the run was judged again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ppml: Literal["receipt/1"] = "receipt/1"
    run: dict[str, JsonValue]
    written: float
    proven: bool
    problems: tuple[str, ...]
    zones_isolated: bool
    records: tuple[StageRecord, ...]
    previous: str | None

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))


def receipt_files(folder: Path) -> list[Path]:
    """`receipt.json`, `receipt-2.json` … of a run, oldest first."""
    numbered = sorted(folder.glob("receipt-*.json"), key=lambda path: int(path.stem.partition("-")[2]))
    first = folder / "receipt.json"
    return [first, *numbered] if first.exists() else numbered


def read_receipt(path: Path) -> Receipt:
    """The receipt in a file of `receipt_files`."""
    return Receipt.model_validate_json(path.read_bytes())


def write_receipt(
    folder: Path,
    records: Records,
    run: dict[str, JsonValue],
    *,
    now: float,
    stages: Sequence[str] = STAGES,
    zones_isolated: bool = False,
) -> Receipt:
    """Judge the records and append a receipt to the run's folder; earlier ones stay as they are."""
    found = records.all()
    problems = judge(found, stages)
    while True:
        files = receipt_files(folder)
        receipt = Receipt(
            run=run,
            written=now,
            proven=not problems,
            problems=tuple(problems),
            zones_isolated=zones_isolated,
            records=tuple(found.values()),
            previous=read_receipt(files[-1]).digest if files else None,
        )
        name = "receipt.json" if not files else f"receipt-{len(files) + 1}.json"
        try:
            create_only(folder / name, canonical_json(receipt.model_dump(mode="json")), mode=0o600)
            return receipt
        except FileExistsError:
            continue  # another clearing was judged at the same moment; append after it

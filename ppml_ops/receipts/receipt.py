"""The receipt of a run: verdict over its records and evidence, signed, written for failed runs too."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.broker.tickets import Hex64, Thumbprint
from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.files import create_only
from ppml_ops.receipts.evidence import Evidence, evidence_problems
from ppml_ops.receipts.judge import STAGES, judge
from ppml_ops.receipts.records import Records, StageRecord
from ppml_ops.receipts.run_key import run_key
from ppml_ops.receipts.signed import parse_document, sign_document, untrue


class RunIdentity(BaseModel):
    """Who a run is: Airflow's ids, the day of its data, and the run key that follows from them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_key: str = Field(max_length=64)
    dag_id: str
    run_id: str
    run_type: str
    day: date
    profile_name: str

    @property
    def consistent(self) -> bool:
        """The run key is the one of these ids and this day."""
        return self.run_key == run_key(self.dag_id, self.run_id, self.day)


class Receipt(BaseModel):
    """What happened in one run and whether that is proven; times are Unix seconds.

    `number` counts the receipts of the run: when stages were cleared and the run was judged again, `previous`
    is the digest of the receipt before. `stages` are those that the DAG has. The last two members are those of
    `ppml_ops.receipts.signed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ppml: Literal["receipt/2"] = "receipt/2"
    run: RunIdentity
    number: int = Field(ge=1, lt=1 << 31)
    previous: Hex64 | None
    written: float
    proven: bool
    problems: tuple[str, ...]
    zones_isolated: bool
    stages: tuple[str, ...]
    records: tuple[StageRecord, ...]
    evidence: Evidence
    signer: Thumbprint
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")

    def encode(self) -> bytes:
        """The file's bytes."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return sha256_hex(self.encode())

    def judge(self) -> list[str]:
        """Everything in it that keeps it from proving the run, found anew; signatures are not looked at."""
        return find_problems(self.run, self.records, self.evidence, self.stages)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The receipt in the bytes of a file; the signature is not looked at.

        Raises:
            IntegrityError: not a receipt of this format.
        """
        document = parse_document(data, "the receipt")
        if document.get("ppml") != "receipt/2":
            raise untrue("the receipt", f"its format is {str(document.get('ppml'))[:40]!r}, not receipt/2")
        try:
            receipt = cls.model_validate(document)
            same = receipt.encode() == data
        except (ValidationError, ValueError, RecursionError):
            raise untrue("the receipt", "it is not a receipt") from None
        if not same:
            raise untrue("the receipt", "it is spelled in another way than receipts are")
        return receipt


def find_problems(
    run: RunIdentity, records: Sequence[StageRecord], evidence: Evidence, stages: Sequence[str]
) -> list[str]:
    """The judge's opinion of the records, and if they prove the run, where the evidence contradicts them."""
    by_name = {record.name: record for record in records}
    if len(by_name) != len(records):
        return ["a stage has two records"]
    if not run.consistent:
        return ["the run key is not that of the run's ids and day"]
    if left_out := set(STAGES) - set(stages):
        return [f"the receipt leaves out stages: {', '.join(sorted(left_out))}"]
    try:
        return judge(by_name, stages) or evidence_problems(run.run_key, by_name, evidence)
    except (KeyError, TypeError, AttributeError):
        # Facts are what the writer of the records wrote there; a verifier gets those of strangers.
        return ["a record does not say what its stage must say"]


def receipt_files(folder: Path) -> list[Path]:
    """`receipt.json`, `receipt-2.json` … of a run, oldest first."""
    numbered = [path for path in folder.glob("receipt-*.json") if path.stem.partition("-")[2].isdigit()]
    first = folder / "receipt.json"
    ordered = sorted(numbered, key=lambda path: int(path.stem.partition("-")[2]))
    return [first, *ordered] if first.exists() else ordered


def number_of(path: Path) -> int:
    """The number that the name of a file of `receipt_files` says."""
    return int(path.stem.partition("-")[2] or 1)


def read_receipt(path: Path) -> Receipt:
    """The receipt in a file of `receipt_files`, not verified; raises as `Receipt.parse`."""
    return Receipt.parse(path.read_bytes())


def write_receipt(
    folder: Path,
    records: Records,
    run: RunIdentity,
    evidence: Evidence,
    key: OKPKey,
    *,
    now: float,
    stages: Sequence[str] = STAGES,
    zones_isolated: bool = False,
) -> Receipt:
    """Judge, sign and append a receipt to the run's folder; earlier ones stay as they are."""
    found = tuple(records.all().values())
    problems = find_problems(run, found, evidence, stages)
    while True:
        files = receipt_files(folder)
        number = number_of(files[-1]) + 1 if files else 1
        document: dict[str, Any] = {
            "ppml": "receipt/2",
            "run": run.model_dump(mode="json"),
            "number": number,
            "previous": sha256_hex(files[-1].read_bytes()) if files else None,
            "written": now,
            "proven": not problems,
            "problems": problems,
            "zones_isolated": zones_isolated,
            "stages": list(stages),
            "records": [record.model_dump(mode="json") for record in found],
            "evidence": evidence.model_dump(mode="json"),
        }
        receipt = Receipt.model_validate(sign_document(document, key))
        name = "receipt.json" if number == 1 else f"receipt-{number}.json"
        try:
            create_only(folder / name, receipt.encode(), mode=0o600)
            return receipt
        except FileExistsError:
            continue  # another clearing was judged at the same moment; append after it

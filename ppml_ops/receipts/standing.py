"""How a run stands with its proof, seen from the state folder: what UI and command line show."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from ppml_ops.canonical import sha256_hex
from ppml_ops.errors import PpmlError
from ppml_ops.receipts.receipt import Receipt, number_of, receipt_files
from ppml_ops.receipts.records import StageRecord
from ppml_ops.receipts.signed import parse_document, verify_document
from ppml_ops.receipts.signer import known_signers


class Word(StrEnum):
    """The one word for it; only the first is good."""

    PROVEN = "PROVEN"
    NOT_PROVEN = "NOT PROVEN"
    STALE = "STALE RECEIPT"
    BAD_SIGNATURE = "SIGNATURE DOES NOT VERIFY"
    NO_RECEIPT = "NO RECEIPT"


class Standing(NamedTuple):
    """The newest receipt of a run and what it is worth; `why` explains every word but PROVEN."""

    word: Word
    why: tuple[str, ...]
    receipt: Receipt | None = None
    file: Path | None = None

    @property
    def proven(self) -> bool:
        """There is a receipt, signed here, that proves the run and speaks of its newest records."""
        return self.word is Word.PROVEN


NO_RECEIPT = Standing(Word.NO_RECEIPT, ("nothing proves what this run did",))


def standing_of(home: Path, folder: Path, records: Mapping[str, StageRecord]) -> Standing:
    """The standing of the run in `folder`.

    Args:
        home: state folder, with the public keys of this installation's signers.
        folder: of the run, with its receipts.
        records: the run's stage records as they are now: newer ones make the receipt stale, as after a clear
            whose receipt task was marked by hand.
    """
    files = receipt_files(folder)
    if not files:
        return NO_RECEIPT
    standing = receipt_standing(home, files[-1])
    if standing.receipt is None:
        return standing
    if standing.receipt.number != number_of(files[-1]) or not _follows(standing.receipt, files):
        return standing._replace(
            word=Word.BAD_SIGNATURE, why=("it does not follow the receipt before it: a file was exchanged",)
        )
    told = {record.name: record for record in standing.receipt.records}
    changed = [name for name, record in records.items() if told.get(name) != record]
    if changed and standing.word is not Word.BAD_SIGNATURE:
        why = f"{', '.join(changed)} ran after it was written: clear `receipt` to judge the run anew"
        return standing._replace(word=Word.STALE, why=(why,))
    return standing


def receipt_standing(home: Path, path: Path) -> Standing:
    """What the receipt in the file `path` is worth by itself, checked with the signers known here."""
    try:
        data = path.read_bytes()
        receipt = Receipt.parse(data)
    except (PpmlError, OSError) as error:
        what = error.what if isinstance(error, PpmlError) else f"it can't be read: {error.strerror}"
        return Standing(Word.BAD_SIGNATURE, (what,), None, path)
    try:
        verify_document(parse_document(data, "the receipt"), known_signers(home), "the receipt")
    except PpmlError as error:
        return Standing(Word.BAD_SIGNATURE, (error.what,), receipt, path)
    word = Word.PROVEN if receipt.proven else Word.NOT_PROVEN
    return Standing(word, receipt.problems, receipt, path)


def _follows(receipt: Receipt, files: list[Path]) -> bool:
    if len(files) == 1:
        return receipt.previous is None
    return receipt.previous == sha256_hex(files[-2].read_bytes())

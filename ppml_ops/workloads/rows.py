"""A digest over result rows that ignores their order, in constant memory.

The digest is the sum of SHA-256 over each row's canonical form, modulo 2^256, together with the count. Order
does not matter, duplicates do. It compares a result with an expectation; it is no signature: whoever can
choose rows freely can look for collisions of the sum, so integrity stays with the manifest.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import IO

from pydantic import BaseModel, ConfigDict, Field

from ppml_ops.errors import DataError

_MODULUS = 1 << 256
_MAX_FIELD = 1 << 20


class RowSummary(BaseModel):
    """What a set of rows comes to: how many, and the digest of them in any order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(ge=0, description="Number of rows.")
    digest: str = Field(pattern="^[0-9a-f]{64}$", description="Sum of the rows' SHA-256, modulo 2^256.")


def _canonical(row: Sequence[str]) -> bytes:
    """Each field as `<length in bytes>:<UTF-8>`: fields can't run into each other."""
    parts = [field.encode("utf-8") for field in row]
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


class RowDigest:
    """Sums up rows one by one; two of them made from parts of a data set can be merged."""

    def __init__(self) -> None:
        self._sum = 0
        self._rows = 0

    def add(self, row: Sequence[str]) -> None:
        """Count one row; its fields are text, as they stand in a CSV file."""
        self._sum += int.from_bytes(hashlib.sha256(_canonical(row)).digest(), "big")
        self._rows += 1

    def merge(self, other: "RowDigest") -> None:
        """Add what `other` has seen."""
        self._sum += other._sum
        self._rows += other._rows

    def summary(self) -> RowSummary:
        """The count and digest so far."""
        return RowSummary(rows=self._rows, digest=f"{self._sum % _MODULUS:064x}")


def summarise(rows: Iterable[Sequence[str]]) -> RowSummary:
    """The summary of `rows`, read once, without keeping them."""
    digest = RowDigest()
    for row in rows:
        digest.add(row)
    return digest.summary()


def summarise_csv(files: Iterable[IO[str]], columns: Sequence[str]) -> RowSummary:
    """The summary of CSV files (comma, doubled quotes, one header each), columns taken in the order given.

    Args:
        files: text streams opened with `newline=""`; an empty file counts as no rows.
        columns: names that each header must have; other columns are an error.

    Raises:
        DataError: a header or a row does not fit; the message names the file by its number, never a value.
    """
    digest = RowDigest()
    for number, file in enumerate(files, start=1):
        add_csv(digest, number, file, columns)
    return digest.summary()


def add_csv(
    digest: RowDigest,
    number: int,
    file: IO[str],
    columns: Sequence[str],
    constants: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Count the rows of one CSV file; `constants` are columns that the file's place gives to all of them.

    Raises:
        DataError: as `summarise_csv`; `number` names the file.
    """
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(file)
    header = next(reader, None)
    if header is None:
        return
    names = [*header, *constants]
    if sorted(names) != sorted(columns):
        raise DataError(
            f"CSV file {number} of the result has other columns than {', '.join(columns)}",
            next_step="check that the workload writes these columns with a header",
        )
    order = [names.index(column) for column in columns]
    values = list(constants.values())
    for row in reader:
        if len(row) != len(header):
            raise DataError(
                f"line {reader.line_num} of CSV file {number} has {len(row)} fields, not {len(header)}",
                next_step="check how the workload quotes its output",
            )
        row += values
        digest.add([row[index] for index in order])

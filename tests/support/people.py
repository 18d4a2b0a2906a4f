"""The flagship's question answered a second time, with nothing of the product's: by reading CSV files."""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

Rows = Counter[tuple[str, str, str]]

#: Rows that break careless CSV code, and ages at both ends of the default range.
AWKWARD = [
    ("Lovelace, Ada", 36, "Developer"),
    ('Grace "Amazing" Hopper', 20, "Developer"),
    ("李小林", 40, "Developer"),
    ("Zoë 🚀 Öztürk", 41, "Developer"),
    ("Наталья", 19, "Developer"),
    ("  spaced  ", 33, "Developer"),
    ("back\\slash", 33, "Developer"),
    ("twice", 30, "Developer"),
    ("twice", 30, "Developer"),
    ("other", 30, "Engineer"),
    ("wide", 27, "Data, Engineer"),
    ("wider", 28, "Data, Engineer"),
]


def write_people(path: Path, rows: Iterable[tuple[str, object, str]]) -> Path:
    """A CSV file with header in the form that spreadsheets write: quotes where needed, CRLF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "age", "job"))
        writer.writerows(rows)
    return path


def read_rows(files: Iterable[Path]) -> Rows:
    """All rows of CSV files, by the columns of their headers."""
    rows: Rows = Counter()
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            rows.update((line["name"], line["age"], line["job"]) for line in csv.DictReader(file))
    return rows


def answer(rows: Rows, *, min_age: int = 20, max_age: int = 40, job: str = "Developer") -> Rows:
    """The rows that SimpleQuery must give."""
    return Counter({row: n for row, n in rows.items() if row[2] == job and min_age <= int(row[1]) <= max_age})

"""Cells survive the way from Spark 3.1's CSV to RFC 4180, which the standard library reads."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from ppml_ops.datasets.bigdl.dialect import rfc4180

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12) | st.sampled_from(
    ["", "\\", '"', '\\"', 'Grace "Amazing" Hopper', "C:\\dir\\", "a,b", "line\nfeed", '","', '"\n"', "\\\\"]
)


def spark31(cell: str) -> str:
    """As Spark 3.1 writes a cell: quotes where needed, a backslash before quotes and backslashes."""
    if not cell or any(char in cell for char in '",\n'):
        return '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return cell


@given(st.lists(st.lists(CELL, min_size=2, max_size=4), max_size=6), st.integers(1, 40))
def test_cells_survive(rows: list[list[str]], size: int) -> None:
    text = "".join(",".join(map(spark31, row)) + "\n" for row in rows).encode()
    if any("\n" in cell for row in rows for cell in row):
        size = len(text) or 1  # a quoted line feed at the border of two pieces is left as it is
    pieces = [memoryview(text)[at : at + size] for at in range(0, len(text), size)]
    converted = b"".join(rfc4180(pieces)).decode()
    assert list(csv.reader(io.StringIO(converted, newline=""))) == rows


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_text_without_backslashes_is_untouched(pieces: list[bytes]) -> None:
    clean = [piece.replace(b"\\", b"") for piece in pieces]
    assert b"".join(rfc4180(clean)) == b"".join(clean)


def test_rfc_4180_is_left_alone() -> None:
    text = b'name,job\n"Grace ""Amazing"" Hopper","a, b"\nback\\slash,x\n5" disk,\\"\n'
    assert b"".join(rfc4180([text])) == text


def test_an_endless_line_takes_no_endless_memory() -> None:
    pieces = [b"x" * (1 << 20)] * 20
    found = list(rfc4180(pieces))
    assert max(map(len, found)) <= 6 << 20
    assert sum(map(len, found)) == 20 << 20

import io

import pytest

from ppml_ops.errors import DataError
from ppml_ops.workloads.rows import RowDigest, summarise, summarise_csv

ROWS = [("Ada", "36"), ('Grace, "A"', "41"), ("Ada", "36"), ("小林", "20")]


def stream(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")


def test_order_does_not_matter() -> None:
    assert summarise(ROWS) == summarise(reversed(ROWS))


def test_duplicates_fields_and_borders_between_fields_matter() -> None:
    digests = {
        summarise(rows).digest
        for rows in (
            ROWS,
            ROWS[1:],
            [*ROWS, ROWS[0]],
            [("ab", "c")],
            [("a", "bc")],
            [("abc",)],
            [("a", "b", "c")],
            [],
        )
    }
    assert len(digests) == 8


def test_no_rows_sum_up_to_nothing() -> None:
    assert summarise([]).model_dump() == {"rows": 0, "digest": "0" * 64}


def test_parts_merge_to_the_whole() -> None:
    one, two = RowDigest(), RowDigest()
    for row in ROWS[:1]:
        one.add(row)
    for row in ROWS[1:]:
        two.add(row)
    one.merge(two)
    assert one.summary() == summarise(ROWS)


def test_csv_files_are_read_by_their_header_and_in_any_split() -> None:
    one = 'name,age\r\nAda,36\r\n"Grace, ""A""",41\r\n'
    two = "age,name\n36,Ada\n20,小林\n"
    assert summarise_csv([stream(one), stream(two), stream("")], ("name", "age")) == summarise(ROWS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,years\nCanary,1\n", "file 1 of the result has other columns than name, age"),
        ("name,age\nCanary\n", "line 2 of CSV file 1 has 1 fields, not 2"),
    ],
)
def test_files_that_do_not_fit_are_named_without_their_values(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        summarise_csv([stream(text)], ("name", "age"))
    assert "Canary" not in str(caught.value)

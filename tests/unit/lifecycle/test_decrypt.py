"""Expected rows are compared, or the run fails; they are never passed over in silence."""

from pathlib import Path

import pytest

from ppml_ops.errors import DataError
from ppml_ops.lifecycle.check_result import ResultCheck
from ppml_ops.lifecycle.decrypt import Expected, _compare
from ppml_ops.workloads.rows import summarise

ROWS = summarise([("1",)])


def compare(folder: Path, check: ResultCheck) -> bool | None:
    return _compare(None, {"sim-out": folder}, folder, Expected({"sim-out": check})).matches_expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["part-0.parquet", "part-0.csv.gz", "part-0"])
def test_results_that_cannot_be_compared_fail_where_rows_are_expected(tmp_path: Path, name: str) -> None:
    (tmp_path / "part-1.csv").write_text("x\n1\n")
    check = ResultCheck(["x"], lambda: ROWS)
    assert compare(tmp_path, check) is True
    (tmp_path / name).write_bytes(b"?")
    with pytest.raises(DataError, match="can't be compared"):
        compare(tmp_path, check)
    assert compare(tmp_path, ResultCheck(["x"], lambda: None)) is None
    assert compare(tmp_path, ResultCheck(["x"])) is None

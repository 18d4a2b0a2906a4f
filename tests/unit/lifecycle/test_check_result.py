"""Checks of opened results: rows with partition columns, and scripts of the owner's."""

from datetime import date
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, DataError, IntegrityError
from ppml_ops.lifecycle import check_result
from ppml_ops.lifecycle.check_result import rows_of_files, run_script, summarise
from ppml_ops.workloads.rows import summarise as summarise_rows

DAY = date(2026, 11, 20)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_partition_folders_give_their_column_to_all_rows(tmp_path: Path) -> None:
    write(tmp_path / "rows/job=Data%2F Eng/year=1/part-0.csv", "name\nAda\nBob\n")
    write(tmp_path / "rows/job=__HIVE_DEFAULT_PARTITION__/year=2/part-0.csv", "name\nEve\n")
    write(tmp_path / "rows/part-empty.csv", "")
    wanted = [("1", "Ada", "Data/ Eng"), ("1", "Bob", "Data/ Eng"), ("2", "Eve", "")]
    assert summarise(tmp_path, ["year", "name", "job"]) == summarise_rows(wanted)
    with pytest.raises(DataError, match="other columns than name"):
        summarise(tmp_path, ["name"])


def test_other_formats_are_not_read(tmp_path: Path) -> None:
    write(tmp_path / "rows/part-0.parquet", "PAR1")
    assert summarise(tmp_path, ["name"]) is None


def test_expected_rows_come_from_a_file_or_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "a/1.csv", "x,y\n1,2\n")
    write(tmp_path / "a/2.csv", "y,x\n4,3\n")
    assert rows_of_files(str(tmp_path / "a"), ["x", "y"]) == summarise_rows([("1", "2"), ("3", "4")])
    assert rows_of_files((tmp_path / "a/1.csv").as_uri(), ["x", "y"]).rows == 1
    with pytest.raises(DataError, match="there is no input at"):
        rows_of_files(str(tmp_path / "absent.csv"), ["x"])


def test_a_script_decides_and_what_it_prints_is_kept_private(tmp_path: Path) -> None:
    result = tmp_path / "data" / "result"
    result.mkdir(parents=True)
    script = tmp_path / "check.py"
    script.write_text("import sys\nprint(sys.argv[1:])\n")
    run_script(script, DAY, result)
    log = tmp_path / "data" / "check.log"
    assert log.read_text() == f"{['--day', '2026-11-20', '--result', str(result)]}\n"
    assert log.stat().st_mode & 0o777 == 0o600
    script.write_text("raise SystemExit('a cell')\n")
    with pytest.raises(IntegrityError, match=r"check\.py ended with exit code 1") as error:
        run_script(script, DAY, result)
    assert "a cell" not in str(error.value)
    assert log.read_text() == "a cell\n"
    with pytest.raises(ConfigError, match="there is no check script"):
        run_script(tmp_path / "absent.py", DAY, result)


def test_a_script_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_result, "SCRIPT_SECONDS", 0.5)
    script = tmp_path / "check.py"
    script.write_text("import time\ntime.sleep(60)\n")
    (tmp_path / "result").mkdir()
    with pytest.raises(IntegrityError, match="did not end within"):
        run_script(script, DAY, tmp_path / "result")

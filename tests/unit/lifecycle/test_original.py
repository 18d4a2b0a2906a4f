"""The export of an opened result, and who may name which key; the rest is proven end to end."""

from datetime import date
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, DataError
from ppml_ops.lifecycle.original import EXPORT, export_result, keys_of_run, original_input
from ppml_ops.lifecycle.run import Run
from tests.support.bigdl import FIXTURES, KEY_FILES, read_folder

KEY = f"simple:{KEY_FILES['plain']}"
PRIMARY = KEY_FILES["plain"].read_text().strip()
HEAD = b"name,age,job\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(
        home=tmp_path, storage=str(tmp_path / "s"), dag_id="d", run_id="r", run_type="manual",
        day=date(2026, 1, 1), profile_name="local",
    )  # fmt: skip
    (run.plaintext / "result" / "developers").mkdir(parents=True)
    return run


def put(run: Run, path: str, data: bytes) -> None:
    target = run.plaintext / "result" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def test_each_folder_becomes_a_data_set(run: Run) -> None:
    put(run, "developers/a.csv", HEAD + b"a,1,x\n")
    put(run, "developers/b.csv", HEAD)
    put(run, "developers/empty.csv", b"")
    put(run, "developers/_SUCCESS", b"")
    put(run, "other/date=2026-01-01/a.json", b"{}\n")
    for _ in range(2):  # a second try replaces the first
        assert export_result(run, KEY)["parts"] == 3
        folder = run.plaintext / EXPORT
        assert list(read_folder(folder / "developers", PRIMARY).values()) == [HEAD + b"a,1,x\n", HEAD]
        assert list(read_folder(folder / "other" / "date=2026-01-01", PRIMARY).values()) == [b"{}\n"]
    assert sorted(path.name for path in run.plaintext.iterdir()) == ["result", EXPORT]


def test_files_in_the_root_of_a_result(run: Run) -> None:
    put(run, "a.txt", b"line\n")
    export_result(run, KEY)
    assert list(read_folder(run.plaintext / EXPORT / "data", PRIMARY).values()) == [b"line\n"]


def test_a_result_without_rows(run: Run) -> None:
    assert export_result(run, KEY)["parts"] == 0
    assert list((run.plaintext / EXPORT).iterdir()) == []
    put(run, "developers/a.json", b"")
    put(run, "developers/b.json", b"")
    assert export_result(run, KEY)["parts"] == 1
    assert list(read_folder(run.plaintext / EXPORT / "developers", PRIMARY).values()) == [b""]


@pytest.mark.parametrize("files", [["developers/a.csv", "developers/a.json"], ["developers/a.orc"]])
def test_what_cannot_be_exported_leaves_nothing(run: Run, files: list[str]) -> None:
    for path in files:
        put(run, path, b"x")
    with pytest.raises(DataError):
        export_result(run, KEY)
    assert [path.name for path in run.plaintext.iterdir()] == ["result"]


def test_relative_keys_are_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="absolute"):
        keys_of_run(run, "simple:key")


def test_native_files_are_read_with_a_warning(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    spec, streams = original_input(
        run, str(FIXTURES / "data/csv_native"), f"simple:{KEY_FILES['native']}", ["name"]
    )
    assert "nothing in these files is authenticated" in caplog.text
    assert len(streams) == 1
    assert spec["columns"] == ["name"]

"""What is written opens in an implementation made from the format's description, and in ours."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppml_ops.crypto.bigdl.layout import is_unreadable_there
from ppml_ops.datasets.bigdl.cuts import pieces
from ppml_ops.datasets.bigdl.reading import open_folder, verify_folder
from ppml_ops.datasets.bigdl.survey import survey
from ppml_ops.datasets.bigdl.writing import write_folder
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.seal import Source, find_sources
from ppml_ops.errors import ConfigError, DataError
from ppml_ops.keys.original import OriginalKeys
from tests.support.bigdl import KEY_FILES, read_folder

Keys = Callable[[str], OriginalKeys]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, size in enumerate((0, 1, 40_000)):
        rows = "".join(f"n{row},{row % 90},Developer\n" for row in range(size))
        (folder / f"{number}.csv").write_text("name,age,job\n" + rows)
    return folder


@pytest.mark.parametrize("key", ["simple", "plain"])
def test_written_folders_open_in_the_second_implementation(
    key: str, inputs: Path, keys: Keys, tmp_path: Path
) -> None:
    done: list[int] = []
    names = write_folder(find_sources(str(inputs)), keys(key), tmp_path / "out", done.append)
    plain = [path.read_bytes() for path in sorted(inputs.iterdir())]
    assert sum(done) == sum(map(len, plain))
    primary = KEY_FILES[key].read_text().strip()
    assert list(read_folder(tmp_path / "out", primary).values()) == plain
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*names, ".meta", "_SUCCESS"])
    assert all(name.startswith(f"part-0000{number}-") for number, name in enumerate(names))
    assert (tmp_path / "out" / "_SUCCESS").stat().st_size == 0
    found = survey(Folder(tmp_path / "out"))
    assert (found.doubts, found.notes, found.form) == ((), (), "csv")
    verify_folder(found, keys(key))
    assert [path.read_bytes() for path in open_folder(found, keys(key), tmp_path / "again")] == plain


def test_two_writes_share_nothing(inputs: Path, keys: Keys, tmp_path: Path) -> None:
    sources = find_sources(str(inputs / "1.csv"))
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        write_folder(sources, keys("plain"), folder)
    metas = {(folder / ".meta").read_bytes() for folder in folders}
    assert len(metas) == 2


@pytest.mark.parametrize(("name", "form"), [("a.jsonl", "json"), ("a.json", "json"), ("a.TXT", "txt")])
def test_formats(name: str, form: str, keys: Keys, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b'{"a": 1}\n')
    names = write_folder(find_sources(str(tmp_path / name)), keys("simple"), tmp_path / "out")
    assert names[0].endswith(f".{form}.cbc")


def test_what_cannot_be_written(inputs: Path, keys: Keys, tmp_path: Path) -> None:
    (inputs / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="one format"):
        write_folder(find_sources(str(inputs)), keys("simple"), tmp_path / "out")
    with pytest.raises(ConfigError, match="exists"):
        write_folder(find_sources(str(inputs / "1.csv")), keys("simple"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't write"):
        write_folder(find_sources(str(inputs / "1.csv")), keys("simple"), tmp_path / "file" / "out")


@pytest.mark.parametrize("by", [-5, 5])
def test_a_source_that_changes_publishes_nothing(inputs: Path, keys: Keys, tmp_path: Path, by: int) -> None:
    (source,) = find_sources(str(inputs / "2.csv"))
    lying = Source(source.folder, source.name, source.length - by)
    with pytest.raises(DataError, match="changed"):
        write_folder([lying], keys("simple"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def exactly(length: int, ending: bytes = b"\n") -> bytes:
    """CSV of `length` bytes with a line feed inside quotes in the last rows."""
    head, last = b"name,age,job\n", b'"a\nb",30,"Dev ""x""\n"' + ending
    rows = b"somebody,30,Developer\n" * ((length - len(head) - len(last)) // 22)
    return head + rows + b"x" * (length - len(head) - len(last) - len(rows) - 1) + b"\n" + last


@pytest.mark.parametrize("length", [131_057, 131_071, 196_607, 65_536 * 40 - 7])
def test_lengths_that_the_original_cannot_read_become_two_parts(
    length: int, keys: Keys, tmp_path: Path
) -> None:
    plain = exactly(length)
    assert len(plain) == length
    (tmp_path / "a.csv").write_bytes(plain)
    write_folder(find_sources(str(tmp_path / "a.csv")), keys("simple"), tmp_path / "out")
    first, second = read_folder(tmp_path / "out", KEY_FILES["simple"].read_text().strip()).values()
    assert not is_unreadable_there(len(first))
    assert not is_unreadable_there(len(second))
    assert second.startswith(b"name,age,job\n")
    assert first + second.removeprefix(b"name,age,job\n") == plain
    assert first.count(b'"') % 2 == 0, "no record was cut"


def test_text_without_lines_cannot_be_cut(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * 131_071)
    with pytest.raises(DataError, match="no line to cut"):
        write_folder(find_sources(str(tmp_path / "a.txt")), keys("simple"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(st.integers(0, 3), st.integers(1, 15), st.sampled_from(["csv", "json", "txt"]), st.integers(1, 70_000))
def test_cuts_are_lossless(blocks: int, rest: int, form: str, chunk: int) -> None:
    length = 65_536 * (blocks + 2) - 16 + rest
    text = exactly(length)
    found = pieces(length, form, lambda: (text[at : at + chunk] for at in range(0, length, chunk)))
    assert len(found) == 2
    assert (found[0].start, found[0].end, found[1].end) == (0, found[1].start, length)
    assert text[found[0].end - 1 : found[0].end] == b"\n"
    assert found[1].prefix == (b"name,age,job\n" if form == "csv" else b"")
    assert not any(is_unreadable_there(len(one.prefix) + one.end - one.start) for one in found)


_MEMORY = """
import sys, tracemalloc
from pathlib import Path
from ppml_ops.datasets.bigdl.reading import open_folder
from ppml_ops.datasets.bigdl.survey import survey
from ppml_ops.datasets.bigdl.writing import write_folder
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.original import streams
from ppml_ops.datasets.seal import find_sources
from ppml_ops.keys.original import original_keys_for
from tests.support.bigdl import crc_file

folder = Path(sys.argv[1])
keys = original_keys_for(sys.argv[2], home=folder)
for name in "ab":
    with (folder / f"{name}.csv").open("wb") as file:
        for _ in range(40):
            file.write(b"somebody,30,Developer\\n" * 50_000)
sources = find_sources(str(folder / "a.csv")) + find_sources(str(folder / "b.csv"))
tracemalloc.start()
(name, _other) = write_folder(sources, keys, folder / "out")
peaks = [tracemalloc.get_traced_memory()[1]]
tracemalloc.stop()
part = folder / "out" / name
part.with_name(f".{name}.crc").write_bytes(crc_file(part.read_bytes()))
tracemalloc.start()
found = survey(Folder(folder / "out"))
open_folder(found, keys, folder / "opened")
peaks.append(tracemalloc.get_traced_memory()[1])
for stream in streams(found, keys, "csv"):
    for piece in stream.pieces():
        pass
peaks.append(tracemalloc.get_traced_memory()[1])
print(max(peaks))
"""


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(tmp_path), f"simple:{KEY_FILES['simple']}"],
        cwd=Path(__file__).parents[4], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 24 << 20, "two files of 44 MB at a time"

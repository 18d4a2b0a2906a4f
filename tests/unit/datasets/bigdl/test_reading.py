"""Every data set of the original opens to its plaintext; what is legal but odd opens with a word about it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppml_ops.datasets.bigdl.reading import open_folder, plaintext, verify_folder
from ppml_ops.datasets.bigdl.survey import survey
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError, DataError, IntegrityError
from ppml_ops.keys.original import OriginalKeys
from tests.support.bigdl import FIXTURES, KEY_FILES, SETS, data_key, make_file, sha256

Keys = Callable[[str], OriginalKeys]
Copy = Callable[..., Path]
CBC = [name for name, one in SETS.items() if one["format"] != "parquet"]


@pytest.mark.parametrize("name", CBC)
def test_data_sets_of_the_original(name: str, keys: Keys, tmp_path: Path) -> None:
    wanted = SETS[name]
    found = survey(Folder(FIXTURES / "data" / name))
    assert found.doubts == ()
    assert found.meta == wanted["meta_wrapped_key"]
    assert found.form == {"text": "txt"}.get(wanted["format"], wanted["format"])
    assert bool(found.notes) == found.native == (name == "csv_native")
    done: list[int] = []
    paths = open_folder(found, keys(wanted["kms"]), tmp_path / "out", done.append)
    assert [path.name for path in paths] == [part["file"][:-4] for part in wanted["parts"]]
    assert [sha256(path.read_bytes()) for path in paths] == [p["plaintext_sha256"] for p in wanted["parts"]]
    assert sum(done) == sum(part["plaintext_bytes"] for part in wanted["parts"])
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    verify_folder(found, keys(wanted["kms"]))


def test_a_data_set_on_another_file_system(keys: Keys, tmp_path: Path) -> None:
    folder = Folder(f"memory://original-{tmp_path.name}")
    for path in (FIXTURES / "data" / "csv_cbc_multi").iterdir():
        with folder.open_write(path.name) as file:
            file.write(path.read_bytes())
    paths = open_folder(survey(folder), keys("simple"), tmp_path / "out")
    assert [sha256(p.read_bytes()) for p in paths] == [
        part["plaintext_sha256"] for part in SETS["csv_cbc_multi"]["parts"]
    ]
    folder.remove()


def opened(folder: Path, keys: OriginalKeys, target: Path) -> list[bytes]:
    return [path.read_bytes() for path in open_folder(survey(Folder(folder)), keys, target)]


def test_two_keys_in_one_folder(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    """As after mode("append"): `.meta` has the last key, each part carries its own."""
    folder = copy("csv_cbc_multi")
    for path in (FIXTURES / "data" / "csv_cbc_single").glob("part-*"):
        shutil.copy(path, folder)
    shutil.copy(FIXTURES / "data" / "csv_cbc_single" / ".meta", folder)
    found = survey(Folder(folder))
    assert "2 data keys" in " ".join(found.notes)
    assert found.doubts == ()
    assert len(opened(folder, keys("simple"), tmp_path / "out")) == 5


def test_gaps_between_parts(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_multi")
    next(folder.glob("part-00001-*")).unlink()
    found = survey(Folder(folder))
    assert found.notes[0].startswith("no part 1: ")
    assert found.doubts == ()
    assert len(opened(folder, keys("simple"), tmp_path / "out")) == 3


def test_a_lost_part_that_left_its_checksum(copy: Copy, keys: Keys) -> None:
    folder = copy("csv_cbc_multi", checksums=True)
    next(folder.glob("part-00001-*")).unlink()
    with pytest.raises(DataError, match="checksum files are there and they are not: part-00001"):
        verify_folder(survey(Folder(folder)), keys("simple"))


def test_a_missing_meta_and_success(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_multi")
    (folder / "_SUCCESS").unlink()
    assert survey(Folder(folder)).doubts == ()
    (folder / ".meta").unlink()
    found = survey(Folder(folder))
    assert len(opened(folder, keys("simple"), tmp_path / "out")) == 4
    with pytest.raises(DataError, match=r"no \.meta"):
        verify_folder(found, keys("simple"))


def test_an_empty_first_part(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    """Spark writes the first part also when it is empty, and the original makes nothing of it: 0 bytes."""
    folder = copy("json_cbc")
    next(folder.glob("part-00000-*")).write_bytes(b"")
    assert "empty parts" in " ".join(survey(Folder(folder)).notes)
    assert opened(folder, keys("simple"), tmp_path / "out")[0] == b""


def test_a_data_set_without_rows(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_noheader")
    next(folder.glob("part-*")).write_bytes(b"")
    assert opened(folder, keys("simple"), tmp_path / "out") == [b""]
    verify_folder(survey(Folder(folder)), keys("simple"))


def test_files_of_rdd_writes(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("text_cbc")
    for number, path in enumerate(sorted(folder.glob("part-*"))):
        path.rename(folder / f"part-{number:05d}.cbc")
    (folder / "part-00002.cbc").write_bytes(b"")
    assert [len(one) > 0 for one in opened(folder, keys("simple"), tmp_path / "out")] == [True, True, False]


def test_strangers_are_left_out_and_verify_refuses_them(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_single")
    (folder / "people.csv").write_text("name,age,job\nmallory,30,Developer\n")
    (folder / "sub").mkdir()
    (folder / ".hidden").write_text("x")
    (folder / "_more").write_text("x")
    found = survey(Folder(folder))
    assert found.doubts == ("files that are no parts: people.csv, sub",)
    assert len(opened(folder, keys("simple"), tmp_path / "out")) == 1
    with pytest.raises(DataError, match=r"people\.csv"):
        verify_folder(found, keys("simple"))


def test_leftovers_of_a_write_are_a_doubt(copy: Copy, keys: Keys) -> None:
    folder = copy("csv_cbc_single")
    (folder / "_temporary" / "0").mkdir(parents=True)
    with pytest.raises(DataError, match="_temporary"):
        verify_folder(survey(Folder(folder)), keys("simple"))


def test_names_that_are_no_text(copy: Copy, keys: Keys) -> None:
    folder = copy("csv_cbc_single")
    (folder / os.fsdecode(b"\xff\x1b[31m.txt")).write_text("x")
    found = survey(Folder(folder))
    "".join(found.doubts).encode()
    assert "\x1b" not in found.doubts[0]
    next(folder.glob("part-*")).rename(folder / os.fsdecode(b"part-\xff.cbc"))
    with pytest.raises(IntegrityError, match="not a name"):
        survey(Folder(folder))


def test_links_in_a_circle_are_not_followed(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_single")
    (folder / "a").symlink_to(folder)
    (folder / "b").symlink_to(folder)
    assert len(opened(folder, keys("simple"), tmp_path / "out")) == 1


def test_a_target_that_exists_or_cannot_be_made(keys: Keys, tmp_path: Path) -> None:
    found = survey(Folder(FIXTURES / "data" / "csv_cbc_single"))
    with pytest.raises(ConfigError, match="exists"):
        open_folder(found, keys("simple"), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't open into"):
        open_folder(found, keys("simple"), tmp_path / "file" / "out")


def test_what_a_killed_try_left_is_replaced(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / ".out.opening").mkdir()
    (tmp_path / ".out.opening" / "leftover").write_text("plaintext")
    open_folder(survey(Folder(FIXTURES / "data" / "csv_cbc_single")), keys("simple"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / "leftover").exists()


PRIMARY = KEY_FILES["simple"].read_text().strip()
WRAPPED = SETS["csv_cbc_single"]["meta_wrapped_key"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.data())
def test_odd_lengths(
    keys: Keys, tmp_path_factory: pytest.TempPathFactory, plain: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    for number, one in enumerate(plain):
        iv = data.draw(st.binary(min_size=16, max_size=16))
        (folder / f"part-{number:05d}.txt.cbc").write_bytes(
            make_file(data_key(PRIMARY, WRAPPED), WRAPPED, iv, one + bytes([number]))
        )
    found = survey(Folder(folder))
    got = [b"".join(map(bytes, plaintext(found, part, keys("simple")))) for part in found.parts]
    assert got == [one + bytes([number]) for number, one in enumerate(plain)]

"""`ppml-ops data` and `keys` on data of BigDL PPML: what one types, what one sees."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import DatasetStore
from tests.support.bigdl import FIXTURES, KEY_FILES, SETS, read_folder, sha256
from tests.support.people import read_rows
from tests.unit.cli.conftest import Cli

SIMPLE = f"simple:{KEY_FILES['simple']}"
MULTI = FIXTURES / "data" / "csv_cbc_multi"
PLAIN = FIXTURES / "plain" / "csv_native.csv"


@pytest.mark.parametrize("name", SETS)
def test_every_data_set_of_the_original_opens(ppml: Cli, tmp_path: Path, name: str) -> None:
    wanted = SETS[name]
    key = f"simple:{KEY_FILES[wanted['kms']]}"
    done = ppml("data", "open", FIXTURES / "data" / name, tmp_path / "out", "--key", key)
    assert (done.code, done.out.startswith(f"opened {len(wanted['parts'])} files")) == (0, True)
    assert "warning: simple:" in done.err
    assert "is weak: " in done.err
    weak = {"csv_native": "nothing in these files is authenticated", "parquet_gcm_ctr_v1": "changed unnoticed"}
    assert all((words in done.err) == (name == one) for one, words in weak.items())
    assert KEY_FILES[wanted["kms"]].read_text().strip() not in done.err + done.out
    for part in wanted["parts"]:
        if "plaintext_sha256" in part:
            assert sha256((tmp_path / "out" / part["file"][:-4]).read_bytes()) == part["plaintext_sha256"]
    verified = ppml("data", "verify", FIXTURES / "data" / name, "--key", key)
    assert verified.code == 0
    assert ("tags are right" in verified.out) == (name not in weak)


def test_show_needs_no_key(ppml: Cli) -> None:
    done = ppml("data", "show", MULTI)
    assert done.code == 0
    assert "BigDL PPML" in done.out
    assert "9,968" in done.out
    document = json.loads(ppml("data", "show", MULTI, "--json").out)
    assert (document["format"], document["content"], len(document["parts"])) == ("bigdl", "csv", 4)
    parquet = json.loads(ppml("data", "show", FIXTURES / "data" / "parquet_gcm_v1", "--json").out)
    assert parquet["parts"][0]["protection"] == "AES_GCM_V1"


def test_create_seal_and_open(ppml: Cli, tmp_path: Path) -> None:
    key = f"simple:{tmp_path}/primaryKey"
    assert ppml("keys", "create", key).out == key
    assert "1 active (current)" in ppml("keys", "show", key).out.replace("│ ", "")
    assert "primaryKey" in ppml("keys", "list", f"simple:{tmp_path}/").out
    plain = tmp_path / "people.csv"
    ppml("data", "generate", plain, "--rows", "5000")
    sealed = ppml("data", "seal", plain, tmp_path / "bigdl", "--format", "bigdl", "--key", key)
    assert (sealed.code, sealed.out.startswith("wrote 1 parts")) == (0, True)
    (content,) = read_folder(tmp_path / "bigdl", (tmp_path / "primaryKey").read_text().strip()).values()
    assert content == plain.read_bytes()
    assert ppml("data", "open", tmp_path / "bigdl", tmp_path / "out", "--key", key).code == 0
    assert next((tmp_path / "out").iterdir()).read_bytes() == plain.read_bytes()
    pme = ppml("data", "seal", plain, tmp_path / "pme", "--format", "pme", "--key", key)
    assert (pme.code, pme.out.startswith("wrote 1 parts")) == (0, True)
    assert ppml("data", "verify", tmp_path / "pme", "--key", key).code == 0


@pytest.mark.parametrize("to", ["", "csv", "parquet"])
@pytest.mark.parametrize("name", ["csv_cbc_multi", "parquet_gcm_v1", "csv_native"])
def test_migrate(ppml: Cli, tmp_path: Path, name: str, to: str) -> None:
    ppml("keys", "create", "local:people")
    done = ppml(
        "data", "migrate", FIXTURES / "data" / name, tmp_path / "sealed", "--dataset", "people",
        "--input-key", f"simple:{KEY_FILES[SETS[name]['kms']]}", "--key", "local:people",
        *(["--to", to] if to else []),
    )  # fmt: skip
    assert (done.code, done.out) == (0, f"sealed {len(SETS[name]['parts'])} parts as version 1 of people")
    form = to or SETS[name]["format"]
    manifest = DatasetStore(Folder(tmp_path / "sealed")).read()
    assert manifest.table is not None
    assert (manifest.table.format, manifest.table.header) == (form, form == "csv")
    assert ppml("data", "verify", tmp_path / "sealed").code == 0
    assert ppml("data", "open", tmp_path / "sealed", tmp_path / "out").code == 0
    paths = list((tmp_path / "out").rglob(f"*.{form}"))
    if form == "csv":
        rows = read_rows(paths)
    else:
        rows = Counter(tuple(row.values()) for path in paths for row in pq.read_table(path).to_pylist())
    wanted = read_rows([FIXTURES / SETS[name]["plain"]])
    del wanted["name", "age", "job"]  # the headers of further parts
    assert rows == wanted
    assert rows.total() == SETS[name]["rows"]


def test_a_tampered_source_is_not_migrated(ppml: Cli, tmp_path: Path) -> None:
    shutil.copytree(MULTI, tmp_path / "copy")
    path = next((tmp_path / "copy").glob("part-00002*"))
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    for side in (tmp_path / "copy").glob(".*.crc"):
        side.unlink()
    path.write_bytes(data)
    ppml("keys", "create", "local:people")
    for to in ([], ["--to", "parquet"]):
        done = ppml(
            "data", "migrate", tmp_path / "copy", tmp_path / "sealed", "--dataset", "people",
            "--input-key", SIMPLE, "--key", "local:people", *to,
        )  # fmt: skip
        assert done.code == 76
        assert "part-00002" in done.err
        assert [one for one in (tmp_path / "sealed").rglob("*") if one.is_file()] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("data", "open", MULTI, "out"), 78, "its key is not said"),
        (("data", "open", MULTI, "out", "--key", "local:people"), 78, "no key of BigDL PPML"),
        (("data", "open", MULTI, "out", "--key", "simple:/nowhere/key"), 78, "no primary key file at"),
        (("data", "open", MULTI, "out", "--key", SIMPLE, "--version", "1"), 78, "no versions"),
        (("data", "verify", FIXTURES, "--key", SIMPLE), 65, "no sealed data set"),
        (("data", "open", min(MULTI.glob("part*")), "out", "--key", SIMPLE), 65, "name its folder"),
        (("keys", "rotate", SIMPLE), 78, "one key"),
        (("keys", "destroy", SIMPLE, "--yes"), 78, "copies"),
        (("data", "seal", KEY_FILES["simple"], "out", "--key", SIMPLE, "--format", "bigdl"), 65, "one format"),
        (("data", "seal", KEY_FILES["simple"], "out", "--key", SIMPLE, "--dataset", "people"), 78, "too weak"),
        (("data", "seal", KEY_FILES["simple"], "out", "--key", SIMPLE), 78, "--dataset"),
        (
            ("data", "seal", MULTI, "out", "--key", SIMPLE, "--format", "bigdl", "--dataset", "people"),
            78,
            "no id and no partition",
        ),
        (
            ("data", "seal", PLAIN, "memory://x", "--key", SIMPLE, "--format", "bigdl"),
            78,
            "not a local folder",
        ),
        (
            ("data", "migrate", FIXTURES / "data/json_cbc", "out", "--key", "local:p", "--input-key", SIMPLE,
             "--dataset", "people", "--to", "parquet"),
            65,
            "no way from json to parquet",
        ),
    ],
)  # fmt: skip
def test_mistakes_get_one_clear_message(
    ppml: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ppml(*arguments)
    assert done.code == code
    assert "error: " in done.err
    assert words in done.err
    assert " for the " in done.err
    assert done.out == ""


def test_migrate_leaves_no_stranger_behind_unsaid(ppml: Cli, tmp_path: Path) -> None:
    shutil.copytree(MULTI, tmp_path / "copy")
    (tmp_path / "copy" / "more.csv").write_text("name,age,job\n")
    ppml("keys", "create", "local:people")
    done = ppml(
        "data", "migrate", tmp_path / "copy", tmp_path / "sealed", "--dataset", "people",
        "--input-key", SIMPLE, "--key", "local:people",
    )  # fmt: skip
    assert (done.code, "more.csv" in done.err) == (65, True)
    assert not (tmp_path / "sealed").exists()


def test_two_formats_in_one_folder(ppml: Cli, tmp_path: Path) -> None:
    shutil.copytree(MULTI, tmp_path / "mixed")
    shutil.copy(next((FIXTURES / "data" / "parquet_gcm_v1").glob("part*")), tmp_path / "mixed")
    done = ppml("data", "open", tmp_path / "mixed", tmp_path / "out", "--key", SIMPLE)
    assert (done.code, "one format" in done.err) == (65, True)

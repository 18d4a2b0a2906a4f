"""A data set of BigDL PPML as a run's input, and its result written so that BigDL PPML reads it."""

import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, DataError, IntegrityError
from ppml_ops.lifecycle.original import EXPORT
from tests.e2e.conftest import Cli
from tests.support.bigdl import FIXTURES, KEY_FILES, SETS, read_folder
from tests.support.life_cycle import LifeCycle
from tests.support.people import answer, read_rows

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.long]

MULTI = FIXTURES / "data" / "csv_cbc_multi"
KEY = f"simple:{KEY_FILES['simple']}"
PRIMARY = KEY_FILES["simple"].read_text().strip()


def wanted_rows(name: str) -> object:
    rows = read_rows([FIXTURES / SETS[name]["plain"]])
    del rows["name", "age", "job"]  # the headers of further parts
    return answer(rows)


def exported_rows(life: LifeCycle, target: Path) -> object:
    """What the second implementation reads out of the export."""
    (folder,) = (life.run.plaintext / EXPORT).iterdir()
    target.mkdir()
    for name, content in read_folder(folder, PRIMARY).items():
        (target / name).write_bytes(content)
    return read_rows(target.iterdir())


def test_from_the_original_and_back(home: Path, day: date, tmp_path: Path) -> None:
    life = LifeCycle(home, day, source=str(MULTI), input_key=KEY, export_key=KEY)
    assert life.finish().problems == ()
    rows = life.result_rows()
    assert rows == wanted_rows("csv_cbc_multi")
    assert rows.total() == SETS["csv_cbc_multi"]["simplequery_rows"] == 336
    assert exported_rows(life, tmp_path / "exported") == rows
    assert life.run.records.facts("decrypt")["export"] == {"parts": 2, "key": KEY, "format": "bigdl"}
    # The same input again is verified, not sealed again; the input stays where and as it was.
    again = LifeCycle(home, day, name="again", source=str(MULTI), input_key=KEY).to("encrypt_upload")
    assert again.run.records.facts("encrypt_upload", again.people)["reused"] is True
    assert again.store.versions() == [1]


def test_through_airflow(command: Cli, home: Path, day: date) -> None:
    """Encrypted Parquet as input: it becomes CSV, which SimpleQuery reads."""
    done = command(
        "run", "simple_query", "--date", day.isoformat(), "-c", f"input_key={KEY}", "-c", f"export_key={KEY}",
        "-c", f"input_url={FIXTURES / 'data' / 'parquet_gcm_v1'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (export,) = (home / "data").glob(f"simple-query-{day:%Y%m%d}-*/{EXPORT}/developers")
    opened = read_rows((export.parents[1] / "result").rglob("*.csv"))
    assert opened == wanted_rows("parquet_gcm_v1")
    contents = read_folder(export, PRIMARY)
    assert sum(content.count(b"\n") - 1 for content in contents.values()) == opened.total()


def _flipped(folder: Path) -> None:
    path = max(folder.glob("part-*"))
    data = bytearray(path.read_bytes())
    data[4000] ^= 1
    path.write_bytes(data)


def _stranger(folder: Path) -> None:
    (folder / "more.csv").write_text("name,age,job\nmallory,30,Developer\n")


def _without_header(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(FIXTURES / "data" / "csv_cbc_noheader", folder)


def _json(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(FIXTURES / "data" / "json_cbc", folder)


BAD = {
    "tampered part": (_flipped, IntegrityError),
    "a stranger": (_stranger, DataError),
    "no header": (_without_header, DataError),
    "no CSV": (_json, DataError),
    "nothing": (shutil.rmtree, DataError),
}


@pytest.mark.parametrize("case", BAD)
def test_inputs_that_are_refused(case: str, home: Path, day: date, tmp_path: Path) -> None:
    change, error = BAD[case]
    folder = tmp_path / "input"
    shutil.copytree(MULTI, folder)
    for side in folder.glob(".*.crc"):
        side.unlink()
    change(folder)
    life = LifeCycle(home, day, source=str(folder), input_key=KEY).to("generate_key")
    with pytest.raises(error) as caught:
        life.to("encrypt_upload")
    assert len(caught.value.next_step) > 10
    assert life.store.versions() == []
    assert life.store.folder.files() == []
    assert not life.tear_down().proven
    assert life.traces() == []


@pytest.mark.parametrize("key", ["simple:relative/key", "simple:/nowhere/key", "local:people"])
def test_keys_that_cannot_be_used(key: str, home: Path, day: date) -> None:
    life = LifeCycle(home, day, source=str(MULTI), input_key=key).to("generate_key")
    with pytest.raises(ConfigError):
        life.to("encrypt_upload")


def test_a_forgotten_key_is_named(home: Path, day: date) -> None:
    life = LifeCycle(home, day, source=str(MULTI)).to("generate_key")
    with pytest.raises(DataError, match="data set of BigDL PPML, and the run has no key"):
        life.to("encrypt_upload")


_KILLED = """
import os, signal, sys
from pathlib import Path
from ppml_ops.lifecycle.encrypt_upload import Upload, encrypt_upload
from ppml_ops.lifecycle.run import load_run

home, key, dataset, source, source_key = sys.argv[1:]
done = 0

def progress(count):
    global done
    done += count
    if done > 20_000:
        os.kill(os.getpid(), signal.SIGKILL)

upload = Upload(load_run(Path(home), key), dataset, "people", ["name", "age", "job"], "broker:", progress)
encrypt_upload(upload, {}, source=source, generator=None, source_key=source_key)
"""


def test_a_killed_seal_leaves_no_plaintext_and_the_next_try_cleans_up(home: Path, day: date) -> None:
    life = LifeCycle(home, day, people="sim-killed", source=str(MULTI), input_key=KEY).to("generate_key")
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(home), life.run.key, "sim-killed", str(MULTI), KEY],
        check=False, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr
    left = [path for path in life.store.folder.files() if "part-" in path]
    assert left, "it was killed in the middle"
    rows = (FIXTURES / SETS["csv_cbc_multi"]["plain"]).read_bytes().split(b"\n")
    words = [rows[1], rows[700], rows[-2]]
    for path in home.rglob("*"):
        if (path.is_file() and (home / "data") not in path.parents) or life.run.plaintext in path.parents:
            data = path.read_bytes()
            assert not any(word in data for word in words), path
    life.to("encrypt_upload")
    manifest = life.store.read()
    assert sorted(path for path in life.store.folder.files() if "part-" in path) == [
        part.path for part in manifest.parts
    ]

"""The original's encrypted Parquet, both modes; what we write; what tampering does to it."""

import base64
import csv
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyarrow.parquet import encryption

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.pme.convert import as_csv, as_parquet, csv_batches, stream_of
from ppml_ops.datasets.pme.reading import open_pme, table, verify_pme
from ppml_ops.datasets.pme.survey import survey_pme
from ppml_ops.datasets.pme.writing import write_pme
from ppml_ops.datasets.seal import find_sources
from ppml_ops.errors import ConfigError, DataError, IntegrityError
from ppml_ops.keys.original import OriginalKeys, original_keys_for
from tests.support.bigdl import FIXTURES, KEY_FILES, SETS, data_key, plain_data_key

NAMES = [name for name, one in SETS.items() if one["format"] == "parquet"]
ALGORITHMS = {"parquet_gcm_v1": "AES_GCM_V1", "parquet_gcm_ctr_v1": "AES_GCM_CTR_V1"}


@pytest.fixture
def keys(tmp_path: Path) -> OriginalKeys:
    return original_keys_for(f"simple:{KEY_FILES['simple']}", home=tmp_path)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(FIXTURES / "data" / "parquet_gcm_v1", target)
    for path in target.glob(".*.crc"):
        path.unlink()
    return target


def rows_of(paths: list[Path]) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for path in paths for row in pq.read_table(path).to_pylist()]


def plain_rows(name: str) -> list[tuple[str, ...]]:
    with (FIXTURES / SETS[name]["plain"]).open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


@pytest.mark.parametrize("name", NAMES)
def test_data_sets_of_the_original(name: str, keys: OriginalKeys, tmp_path: Path) -> None:
    found = survey_pme(Folder(FIXTURES / "data" / name))
    assert {part.algorithm for part in found.parts} == {ALGORITHMS[name]}
    assert found.doubts == ()
    assert ("can be changed unnoticed" in " ".join(found.notes)) == (name == "parquet_gcm_ctr_v1")
    done: list[int] = []
    paths = open_pme(found, keys, tmp_path / "out", done.append)
    assert [path.name for path in paths] == [part["file"] for part in SETS[name]["parts"]]
    assert sum(done) == sum(part["bytes"] for part in SETS[name]["parts"])
    assert sorted(rows_of(paths)) == sorted(plain_rows(name))
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert paths[0].read_bytes()[:4] == b"PAR1"
    verify_pme(found, keys)


class Mock(encryption.KmsClient):
    """The original's key service, a second time."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.masters = {"footerKey": key[:16].encode(), "key1": key[16:32].encode()}

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        nonce = os.urandom(12)
        name = master_key_identifier
        return base64.b64encode(nonce + AESGCM(self.masters[name]).encrypt(nonce, key_bytes, name.encode()))

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        raw = base64.b64decode(wrapped_key)
        name = master_key_identifier
        return AESGCM(self.masters[name]).decrypt(raw[:12], raw[12:], name.encode())


def independent(folder: Path, primary: str) -> list[pa.Table]:
    """Read by pyarrow alone, with the key from `.meta`."""
    import json

    wrapped = json.loads((folder / ".meta").read_bytes())["encryptedDataKey"]
    key = data_key(primary, wrapped) if len(primary) == 16 else plain_data_key(primary, wrapped)
    factory = encryption.CryptoFactory(lambda _config: Mock(key))
    config = factory.file_decryption_properties(encryption.KmsConnectionConfig())
    return [
        pq.ParquetFile(path, decryption_properties=config).read() for path in sorted(folder.glob("*.parquet"))
    ]


TABLE = pa.table(
    {
        "name": ["Ada", None, "", 'Grace "Amazing"'],
        "age": pa.array([36, None, 20, 40], pa.int32()),
        "nested": [{"secret": "SECRET-IN-STRUCT"}, None, {"secret": "x"}, {"secret": "y"}],
        "list": [["SECRET-IN-LIST"], [], None, ["z"]],
    }
)


@pytest.mark.parametrize("key", ["simple", "plain"])
def test_written_parquet_opens_in_the_second_implementation(key: str, tmp_path: Path) -> None:
    plain = tmp_path / "in"
    plain.mkdir()
    pq.write_table(TABLE, plain / "a.parquet", compression="none", use_dictionary=False)
    pq.write_table(TABLE.slice(0, 0), plain / "b.parquet")
    keys = original_keys_for(f"simple:{KEY_FILES[key]}", home=tmp_path)
    names = write_pme(find_sources(str(plain)), keys, tmp_path / "out")
    first, second = independent(tmp_path / "out", KEY_FILES[key].read_text().strip())
    assert first.cast(TABLE.schema).to_pylist() == TABLE.to_pylist()
    assert second.num_rows == 0
    for name in names:
        data = (tmp_path / "out" / name).read_bytes()
        assert data[:4] == data[-4:] == b"PARE"
        assert not [word for word in (b"SECRET", b"nested", b"Amazing") if word in data]
    found = survey_pme(Folder(tmp_path / "out"))
    assert {part.algorithm for part in found.parts} == {"AES_GCM_V1"}
    assert (found.doubts, found.notes) == ((), ())
    verify_pme(found, keys)
    opened = open_pme(found, keys, tmp_path / "again")
    assert pq.read_table(opened[0]).cast(TABLE.schema).to_pylist() == TABLE.to_pylist()


def test_csv_becomes_text_columns(keys: OriginalKeys, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('name,age\n"a\nb",007\n"",\nünïcode,"1,5"\n')
    write_pme(find_sources(str(tmp_path / "a.csv")), keys, tmp_path / "out")
    (found,) = independent(tmp_path / "out", KEY_FILES["simple"].read_text().strip())
    assert found.to_pylist() == [
        {"name": "a\nb", "age": "007"}, {"name": "", "age": None}, {"name": "ünïcode", "age": "1,5"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"name,age\n1\n1,2,3\n"), ("a.csv", b"\xff\xfe\x00"), ("a.csv", b"a,a\n1,2\n"),
     ("a.csv", b"a,b\n\xff\xff,1\n"), ("a.parquet", b"PAR1 no parquet PAR1"), ("a.json", b"{}\n")],
)  # fmt: skip
def test_sources_that_cannot_be_written(name: str, content: bytes, keys: OriginalKeys, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        write_pme(find_sources(str(tmp_path / name)), keys, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def first(folder: Path) -> Path:
    return min(folder.glob("part-*"))


TAMPERED: dict[str, Callable[[Path], object]] = {
    "plain Parquet among the parts": lambda f: pq.write_table(TABLE, f / "part-00009.parquet"),
    "a copy of a part": lambda f: shutil.copy(first(f), f / "part-00009.parquet"),
    "cut": lambda f: first(f).write_bytes(first(f).read_bytes()[:-1]),
    "cut to nothing": lambda f: first(f).write_bytes(b""),
    "extended": lambda f: first(f).write_bytes(first(f).read_bytes() + b"PARE"),
    "footer longer than the file": lambda f: first(f).write_bytes(
        first(f).read_bytes()[:-8] + b"\xff\xff\xff\x7fPARE"
    ),
    "unknown algorithm": lambda f: first(f).write_bytes(
        first(f).read_bytes().replace(b"\x1c\x1c\x28\x08", b"\x1c\x3c\x28\x08")
    ),
    "said to be CTR": lambda f: first(f).write_bytes(
        first(f).read_bytes().replace(b"\x1c\x1c\x28\x08", b"\x1c\x2c\x28\x08")
    ),
    "middle taken out": lambda f: first(f).write_bytes(
        first(f).read_bytes()[:500] + first(f).read_bytes()[516:]
    ),
    "meta missing": lambda f: (f / ".meta").unlink(),
    "meta of another data set": lambda f: shutil.copy(FIXTURES / "data/csv_cbc_single/.meta", f),
    "meta of nativeaescbc": lambda f: shutil.copy(FIXTURES / "data/csv_native/.meta", f),
    "part of another data set": lambda f: shutil.copy(first(FIXTURES / "data/parquet_gcm_ctr_v1"), first(f)),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_is_found_and_nothing_is_published(
    kind: str, copy: Path, keys: OriginalKeys, tmp_path: Path
) -> None:
    TAMPERED[kind](copy)
    for work in (
        lambda: open_pme(survey_pme(Folder(copy)), keys, tmp_path / "out"),
        lambda: verify_pme(survey_pme(Folder(copy)), keys),
    ):
        with pytest.raises(IntegrityError) as error:
            work()
        assert len(error.value.next_step) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_no_flipped_bit_goes_unnoticed_under_gcm(copy: Path, keys: OriginalKeys, tmp_path: Path) -> None:
    path = first(copy)
    good = path.read_bytes()
    places = random.Random(4)
    for _ in range(150):
        data = bytearray(good)
        data[places.randrange(len(data))] ^= 1 << places.randrange(8)
        path.write_bytes(data)
        try:
            rows = rows_of(open_pme(survey_pme(Folder(copy)), keys, tmp_path / "out"))
        except IntegrityError:
            assert not (tmp_path / "out").exists()
            continue
        # A few bits of the clear crypto metadata mean nothing.
        assert sorted(rows) == sorted(plain_rows("parquet_gcm_v1"))
        shutil.rmtree(tmp_path / "out")


def test_side_files_are_compared(tmp_path: Path, keys: OriginalKeys) -> None:
    folder = tmp_path / "sides"
    shutil.copytree(FIXTURES / "data" / "parquet_gcm_v1", folder)
    one, two = sorted(folder.glob("part-*"))
    one_data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(one_data)
    with pytest.raises(IntegrityError, match="checksum file"):
        verify_pme(survey_pme(Folder(folder)), keys)


def test_strangers_and_wrong_keys(copy: Path, tmp_path: Path) -> None:
    (copy / "people.csv").write_text("x")
    (tmp_path / "key").write_text("1234567890125678")
    wrong = original_keys_for(f"simple:{tmp_path}/key", home=tmp_path)
    with pytest.raises(DataError, match=r"people\.csv"):
        verify_pme(survey_pme(Folder(copy)), wrong)
    with pytest.raises(IntegrityError, match="do not open"):
        open_pme(survey_pme(Folder(copy)), wrong, tmp_path / "out")
    with pytest.raises(ConfigError, match="exists"):
        open_pme(survey_pme(Folder(copy)), wrong, tmp_path)


def test_without_pyarrow_the_extra_is_named(
    copy: Path, keys: OriginalKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = survey_pme(Folder(copy))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError) as error:
        open_pme(found, keys, tmp_path / "out")
    assert "ppml-ops[parquet]" in error.value.next_step


def test_rows_as_csv_and_parquet_streams(copy: Path, keys: OriginalKeys, tmp_path: Path) -> None:
    found = survey_pme(Folder(copy))
    with table(found, found.parts[0], keys) as rows:
        text = b"".join(as_csv(rows.schema, rows.batches()))
    with table(found, found.parts[0], keys) as rows:
        (tmp_path / "a.parquet").write_bytes(b"".join(as_parquet(rows.schema, rows.batches())))
    wanted = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(wanted) == 250
    schema, batches = csv_batches(stream_of([text[:7], b"", text[7:]]), "text")
    assert pa.Table.from_batches(batches, schema).to_pylist() == wanted
    with pytest.raises(DataError, match="do not fit into CSV"):
        list(as_csv(TABLE.schema, TABLE.to_batches()))


def test_errors_of_a_stream_come_through() -> None:
    def damaged() -> object:
        yield b"name\n" + b"x\n" * 2_000_000
        raise IntegrityError("at the end", next_step="none")

    with pytest.raises(IntegrityError, match="at the end"):
        _schema, batches = csv_batches(stream_of(damaged()), "text")
        list(batches)

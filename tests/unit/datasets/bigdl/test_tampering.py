"""What was done to a data set of the original is found, and nothing of it is published."""

import hmac
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ppml_ops.datasets.bigdl.reading import open_folder, verify_folder
from ppml_ops.datasets.bigdl.survey import survey
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError, DataError, IntegrityError, PpmlError
from ppml_ops.keys.original import OriginalKeys, original_keys_for
from tests.support.bigdl import FIXTURES, KEY_FILES, SETS, crc_file, data_key, key_pair, make_file, read_file

Keys = Callable[[str], OriginalKeys]
Copy = Callable[..., Path]
PRIMARY = KEY_FILES["simple"].read_text().strip()
OTHER = FIXTURES / "data" / "csv_cbc_single"


def part(folder: Path, number: int = 1) -> Path:
    return next(folder.glob(f"part-{number:05d}-*.cbc"))


def patch(folder: Path, change: Callable[[bytes], bytes], number: int = 1) -> None:
    path = part(folder, number)
    path.write_bytes(change(path.read_bytes()))


def flip(offset: int, bit: int = 1) -> Callable[[Path], None]:
    def change(data: bytes) -> bytes:
        at = offset % len(data)
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]

    return lambda folder: patch(folder, change)


def cut(count: int) -> Callable[[Path], None]:
    return lambda folder: patch(folder, lambda data: data[:-count])


def only(count: int) -> Callable[[Path], None]:
    return lambda folder: patch(folder, lambda data: data[:count])


def extend(more: bytes) -> Callable[[Path], None]:
    return lambda folder: patch(folder, lambda data: data + more)


def meta(text: str | bytes) -> Callable[[Path], None]:
    data = text if isinstance(text, bytes) else text.encode()
    return lambda folder: (folder / ".meta").write_bytes(data) and None


def mac_over_plaintext(folder: Path) -> None:
    """What the original's inverted check compares with."""
    data = part(folder).read_bytes()
    signing, _aes = key_pair(data_key(PRIMARY, data[8:40].decode()))
    part(folder).write_bytes(data[:-32] + hmac.digest(signing, read_file(data, PRIMARY), "sha256"))


def rewrapped_alike(folder: Path) -> None:
    """Characters 16 to 31 of a wrapped key mean nothing to SimpleKMS, so the tag still fits."""
    patch(folder, lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:])


def other_key_same_name(folder: Path) -> None:
    """A part of another data set under the same primary key: it opens, by its own header."""
    shutil.copy(next(OTHER.glob("part-*")), part(folder))


def repeated(folder: Path) -> None:
    path = part(folder)
    shutil.copy(path, path.with_name(path.name.replace("part-00001", "part-00007")))


def repeated_with_other_iv(folder: Path) -> None:
    data = part(folder).read_bytes()
    path = part(folder)
    path.with_name(path.name.replace("part-00001", "part-00007")).write_bytes(data[:40] + bytes(16) + data[56:])


def pipe(folder: Path) -> None:
    path = part(folder)
    path.unlink()
    os.mkfifo(path)


def meta_pipe(folder: Path) -> None:
    (folder / ".meta").unlink()
    os.mkfifo(folder / ".meta")


def as_folder(folder: Path) -> None:
    path = part(folder)
    path.unlink()
    path.mkdir()


def dangling(folder: Path) -> None:
    path = part(folder)
    path.unlink()
    path.symlink_to("nowhere")


def without_key(folder: Path) -> None:
    patch(folder, lambda data: make_file(data_key(PRIMARY, data[8:40].decode()), "", bytes(16), b"x" * 50))


def foreign(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


Change = Callable[[Path], object]
TAMPERED: dict[str, tuple[Change, type[PpmlError]]] = {
    "first ciphertext byte": (flip(400), IntegrityError),
    "ciphertext byte in the middle": (flip(5000), IntegrityError),
    "last ciphertext byte": (flip(-33), IntegrityError),
    "first tag byte": (flip(-32), IntegrityError),
    "last tag byte": (flip(-1, 0x80), IntegrityError),
    "tag over the plaintext": (mac_over_plaintext, IntegrityError),
    "tag of zeros": (lambda f: patch(f, lambda d: d[:-32] + bytes(32)), IntegrityError),
    "blocks deleted": (lambda f: patch(f, lambda d: d[:480] + d[544:]), IntegrityError),
    "blocks exchanged": (
        lambda f: patch(f, lambda d: d[:400] + d[416:432] + d[400:416] + d[432:]),
        IntegrityError,
    ),
    "blocks repeated": (lambda f: patch(f, lambda d: d[:432] + d[400:432] + d[432:]), IntegrityError),
    "cut by a byte": (cut(1), IntegrityError),
    "cut by a block": (cut(16), IntegrityError),
    "cut by the tag": (cut(32), IntegrityError),
    "cut in half": (lambda f: patch(f, lambda d: d[: len(d) // 32 * 16]), IntegrityError),
    "cut to the header": (only(400), IntegrityError),
    "cut to header and tag": (lambda f: patch(f, lambda d: d[:400] + d[-32:]), IntegrityError),
    "cut inside the header": (only(399), IntegrityError),
    "cut to a byte": (only(1), IntegrityError),
    "cut to nothing": (only(0), IntegrityError),
    "extended by a byte": (extend(b"\0"), IntegrityError),
    "extended by a block": (extend(bytes(16)), IntegrityError),
    "extended by a tag": (extend(bytes(32)), IntegrityError),
    "another part appended": (lambda f: patch(f, lambda d: d + part(f, 2).read_bytes()), IntegrityError),
    "length of the wrapped key": (flip(3), IntegrityError),
    "negative length of the wrapped key": (flip(0, 0xFF), IntegrityError),
    "length of the IV": (flip(7), IntegrityError),
    "header of 2.2": (flip(0, 0x80), IntegrityError),
    "wrapped key in use": (flip(11), IntegrityError),
    "wrapped key where SimpleKMS looks away": (rewrapped_alike, IntegrityError),
    "wrapped key is no text": (flip(12, 0x80), IntegrityError),
    "no wrapped key": (without_key, IntegrityError),
    "part of another data set": (other_key_same_name, IntegrityError),
    "part twice": (repeated, IntegrityError),
    "part twice with another IV": (repeated_with_other_iv, IntegrityError),
    "a pipe": (pipe, IntegrityError),
    "a folder": (as_folder, IntegrityError),
    "a dangling link": (dangling, IntegrityError),
    "plaintext as part": (lambda f: patch(f, lambda _d: b"name,age,job\n" * 99), IntegrityError),
    "random bytes as part": (lambda f: patch(f, lambda d: os.urandom(len(d))), IntegrityError),
    "zeros as part": (lambda f: patch(f, lambda d: bytes(len(d))), IntegrityError),
    "foreign .cbc file": (foreign("foreign.cbc", b"x" * 1000), IntegrityError),
    "native file among the parts": (
        foreign("part-00009.csv.cbc", (FIXTURES / "data/csv_native").glob("part*").__next__().read_bytes()),
        IntegrityError,
    ),
    "meta empty": (meta(""), IntegrityError),
    "meta no JSON": (meta("{"), IntegrityError),
    "meta binary": (meta(b"\xff\x00" * 40), IntegrityError),
    "meta without key": (meta("{}"), IntegrityError),
    "meta with a number": (meta('{"encryptedDataKey": 5}'), IntegrityError),
    "meta with two keys": (meta('{"encryptedDataKey":"1","encryptedDataKey":"2"}'), IntegrityError),
    "meta of another data set": (lambda f: shutil.copy(OTHER / ".meta", f), IntegrityError),
    "meta one digit off": (
        lambda f: (f / ".meta").write_bytes((f / ".meta").read_bytes().replace(b"48535553", b"48535554")),
        IntegrityError,
    ),
    "meta says native": (meta('{"encryptedDataKey": ""}'), IntegrityError),
    "meta endless": (meta(" " * 100_000), IntegrityError),
    "meta nested": (meta("[" * 60_000), IntegrityError),
    "meta is a pipe": (meta_pipe, IntegrityError),
    "no part": (lambda f: [path.unlink() for path in f.glob("part-*")], DataError),
}  # fmt: skip


def test_the_table_is_long_enough() -> None:
    assert len(TAMPERED) >= 35


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_is_found_and_nothing_is_published(kind: str, copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_multi")
    change, error = TAMPERED[kind]
    change(folder)
    for work in (
        lambda: open_folder(survey(Folder(folder)), keys("simple"), tmp_path / "out"),
        lambda: verify_folder(survey(Folder(folder)), keys("simple")),
    ):
        with pytest.raises(error) as caught:
            work()
        assert len(caught.value.next_step) > 10
        assert PRIMARY not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["csv_cbc_multi"]


#: What the format's tag can't tell, found by the side files that Hadoop leaves on local disks.
SIDE_FILES: dict[str, Change] = {
    "first byte of the IV": flip(40, 0x20),
    "filler": flip(100),
    "parts exchanged": lambda f: (
        part(f, 0).rename(f / "x"), part(f, 1).rename(f / part(FIXTURES / "data/csv_cbc_multi", 0).name),
        (f / "x").rename(f / part(FIXTURES / "data/csv_cbc_multi", 1).name),
    ),
    "first part cut to nothing": lambda f: patch(f, lambda _d: b"", 0),
    "checksum file damaged": lambda f: (f / f".{part(f).name}.crc").write_bytes(b"crc\0" + bytes(84)),
    "checksum file cut": lambda f: (f / f".{part(f).name}.crc").write_bytes(b"crc\0"),
    "checksum file of a byte": lambda f: (f / f".{part(f).name}.crc").write_bytes(
        b"crc\0\0\0\0\x01" + bytes(4 * part(f).stat().st_size)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SIDE_FILES)
def test_side_files_find_what_the_tag_does_not_cover(kind: str, copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_multi", checksums=True)
    SIDE_FILES[kind](folder)
    with pytest.raises(IntegrityError, match="checksum file beside it"):
        open_folder(survey(Folder(folder)), keys("simple"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_iv_without_a_side_file_can_be_changed_unnoticed(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    """The limit of the format, written down: `data migrate` ends it."""
    folder = copy("csv_cbc_multi")
    patch(folder, lambda data: data[:40] + bytes([data[40] ^ 0x20]) + data[41:])
    paths = open_folder(survey(Folder(folder)), keys("simple"), tmp_path / "out")
    assert paths[1].read_bytes().startswith(b"Name,age,job")


def test_side_files_of_any_length_agree_with_hadoop(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    for name in ("csv_cbc_multi", "json_cbc", "parquet_gcm_v1"):
        for path in (FIXTURES / "data" / name).glob("part-*"):
            assert crc_file(path.read_bytes()) == path.with_name(f".{path.name}.crc").read_bytes()


@pytest.mark.parametrize("wrong", ["other simple key", "plain", "native"])
def test_wrong_keys(wrong: str, copy: Copy, keys: Keys, tmp_path: Path) -> None:
    if wrong == "other simple key":
        (tmp_path / "key").write_text("1234567890125678\n")
        key = original_keys_for(f"simple:{tmp_path}/key", home=tmp_path)
    else:
        key = keys(wrong)
    with pytest.raises(IntegrityError, match="part-0000"):
        open_folder(survey(Folder(copy("csv_cbc_multi"))), key, tmp_path / "out")
    with pytest.raises((IntegrityError, ConfigError)):
        open_folder(survey(Folder(copy("csv_native"))), keys("simple"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_part_exchanged_while_it_is_read(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    folder = copy("csv_cbc_multi")
    found = survey(Folder(folder))
    other_key_same_name(folder)
    with pytest.raises(IntegrityError):
        open_folder(found, keys("simple"), tmp_path / "out")
    part(folder).unlink()
    with pytest.raises((IntegrityError, ConfigError)):
        open_folder(found, keys("simple"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_data_set_that_is_tampered_with_opens_untouched(copy: Copy, keys: Keys, tmp_path: Path) -> None:
    assert len(open_folder(survey(Folder(copy("csv_cbc_multi"))), keys("simple"), tmp_path / "out")) == 4
    assert len(SETS["csv_cbc_multi"]["parts"]) == 4

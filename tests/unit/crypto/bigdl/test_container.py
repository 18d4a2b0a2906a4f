"""`.cbc` against the original's files and vectors, an independent implementation, and every kind of damage."""

import hmac
import io
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppml_ops.crypto.bigdl.container import CHUNK, CbcReader, CbcWriter
from ppml_ops.crypto.bigdl.layout import build_header, container_length, is_unreadable_there, parse_header
from ppml_ops.crypto.bigdl.native import NativeReader
from ppml_ops.errors import ConfigError, IntegrityError
from tests.support.bigdl import FIXTURES, SETS, make_file, sha256

IV = bytes(range(16))
PLAIN = b"name,age,job\nabc,20,Developer\n"
V2_KEY, V2_WRAPPED = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "d3JhcHBlZC1rZXk="
# Data key, wrapped key, plaintext, SHA-256 of the file: vectors V1 to V6 of the format's description.
VECTORS = {
    "V1": ("51544953485256515450524948565655", "48495051525354555657484950515253", PLAIN,
           "bdbc2eedb9087d684f5ae69e6834d83cb6693eaf0bafea2a890fa015f294bfea"),
    "V2": (V2_KEY, V2_WRAPPED, PLAIN,
           "27a0d27efea2a7e1d0e0a144c63769170ba416ca87bb311adfeb8c07cad3554a"),
    "V3": ("AAECAwQFBgcICQoLDA0ODw==", "fthySFpjBC8nxw4UH6vKI+aOUg7xEEpup7cG0t2Eyzo=", PLAIN,
           "894665886584ed2439a6b387b0f6b88506280c8e2f562f2ce9a68b1def3d7b71"),
    "V4": ("0123456789012345", "", PLAIN,
           "98752b20f38af804134481876b3914925cb788330bd24079ac86bc68102abdaf"),
    "V5": (V2_KEY, V2_WRAPPED, b"",
           "deb0dd72544abbc176a0daf59946cef9ab10859e35275fe2a1d86ea481f7a6a6"),
    "V6a": (V2_KEY, V2_WRAPPED, bytes(i % 251 for i in range(131_071)),
            "53bcf7567b2125f1f9e9a2e836d73225b875251db9a09c67b0fb6f673e58d206"),
    "V6b": (V2_KEY, V2_WRAPPED, bytes(i % 251 for i in range(3_000_000)),
            "0ad8d4aafd533085c3af2aa74da6632a08bf27966b54d253ee1c99a0407f211b"),
}  # fmt: skip


def written(plain: bytes, key: str = V2_KEY, wrapped: str = V2_WRAPPED) -> bytes:
    sink = io.BytesIO()
    with CbcWriter(sink, key, wrapped, IV) as writer:
        writer.write(plain)
    return sink.getvalue()


def opened(data: bytes, key: str = V2_KEY) -> bytes:
    return b"".join(bytes(piece) for piece in CbcReader(io.BytesIO(data), len(data)).pieces(key))


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_of_the_original(name: str) -> None:
    key, wrapped, plain, digest = VECTORS[name]
    file = make_file(key, wrapped, IV, plain)
    assert sha256(file) == digest
    assert opened(file, key) == plain
    reader = CbcReader(io.BytesIO(file), len(file))
    assert (reader.header.wrapped, reader.header.iv, reader.header.regular_filler) == (wrapped, IV, True)
    if len(key) >= 32:
        assert written(plain, key, wrapped) == file
    else:
        with pytest.raises(ConfigError, match="zero bytes"):
            written(plain, key, wrapped)


def test_vector_v7_of_nativeaescbc() -> None:
    file = bytes.fromhex(
        "000102030405060708090a0b0c0d0e0fac926551adea94f954a9daba7e85a6403b1a8a9b510241e8ab0d4148d67c3997"
    )
    pieces = NativeReader(io.BytesIO(file), len(file)).pieces(bytes(range(16)))
    assert b"".join(map(bytes, pieces)) == PLAIN


PARTS = [
    (one["id"], part) for one in SETS.values() for part in one["parts"] if "data_key" in part and "tag" in part
]


@pytest.mark.parametrize(("set_id", "part"), PARTS, ids=[f"{name}-{part['file'][:10]}" for name, part in PARTS])
def test_files_of_the_original(set_id: str, part: dict[str, str]) -> None:
    data = (FIXTURES / "data" / set_id / part["file"]).read_bytes()
    reader = CbcReader(io.BytesIO(data), len(data))
    assert (reader.header.wrapped, reader.header.iv.hex()) == (part["wrapped_key"], part["iv"])
    plain = opened(data, part["data_key"])
    assert sha256(plain) == part["plaintext_sha256"]
    assert make_file(part["data_key"], part["wrapped_key"], bytes.fromhex(part["iv"]), plain) == data


@given(st.binary(max_size=3000), st.lists(st.integers(1, 700), max_size=8))
def test_any_length_written_in_any_pieces(plain: bytes, cuts: list[int]) -> None:
    sink, at = io.BytesIO(), 0
    with CbcWriter(sink, V2_KEY, V2_WRAPPED, IV) as writer:
        for cut in cuts:
            writer.write(plain[at : at + cut])
            at += cut
        writer.write(plain[at:])
    assert sink.getvalue() == make_file(V2_KEY, V2_WRAPPED, IV, plain)
    assert len(sink.getvalue()) == container_length(len(plain))
    assert opened(sink.getvalue()) == plain


@pytest.mark.parametrize("length", [CHUNK - 17, CHUNK - 16, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 15])
def test_lengths_around_the_chunk(length: int) -> None:
    plain = os.urandom(length)
    assert written(plain) == make_file(V2_KEY, V2_WRAPPED, IV, plain)
    assert opened(written(plain)) == plain


def test_a_source_that_gives_little_at_a_time() -> None:
    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size, 7) if size and size > 0 else size)

    file = written(PLAIN * 100)
    assert b"".join(map(bytes, CbcReader(Dribble(file), len(file)).pieces(V2_KEY))) == PLAIN * 100


LONG = PLAIN * 100
TAMPERED = {
    "first byte of the ciphertext": lambda f: f[:400] + bytes([f[400] ^ 1]) + f[401:],
    "last byte of the tag": lambda f: f[:-1] + bytes([f[-1] ^ 1]),
    "blocks taken from the middle": lambda f: f[:480] + f[544:],
    "blocks exchanged": lambda f: f[:400] + f[416:432] + f[400:416] + f[432:],
    "a block twice": lambda f: f[:416] + f[400:416] + f[416:],
    "tag over the plaintext": lambda f: f[:-32] + make_file(V2_KEY, V2_WRAPPED, IV, f[400:-32])[-32:],
    "tag of zeros": lambda f: f[:-32] + bytes(32),
    "a block of zeros before the tag": lambda f: f[:-32] + bytes(16) + f[-32:],
    "cut by a block": lambda f: f[:-16],
    "cut by a byte": lambda f: f[:-1],
    "extended by a byte": lambda f: f + b"x",
    "extended by a block": lambda f: f + bytes(16),
    "extended by itself": lambda f: f + f,
    "only the header": lambda f: f[:400],
    "shorter than the header": lambda f: f[:399],
    "header and tag": lambda f: f[:400] + f[-32:],
    "header twice": lambda f: f[:400] + f,
    "header of 2.2": lambda f: b"\x80" + f[1:],
    "length of the key too large": lambda f: (377).to_bytes(4, "big") + f[4:],
    "length of the key negative": lambda f: b"\xff" * 4 + f[4:],
    "length of the IV": lambda f: f[:4] + (12).to_bytes(4, "big") + f[8:],
    "wrapped key not text": lambda f: f[:8] + b"\xff\x00" + f[10:],
    "plaintext": lambda _f: LONG,
    "nothing": lambda _f: b"",
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_files_do_not_open(kind: str) -> None:
    with pytest.raises(IntegrityError):
        opened(TAMPERED[kind](written(LONG)))


def test_wrong_keys_do_not_open() -> None:
    for key in ("A" * 44, "short", "Ä" * 40, ""):
        with pytest.raises(IntegrityError):
            opened(written(LONG), key)


def test_a_tag_that_fits_over_wrong_padding_gets_the_same_error() -> None:
    whole = make_file(V2_KEY, V2_WRAPPED, IV, bytes(64))
    body = whole[400:-48]  # without the block of padding: decrypts to zeros, which are no padding
    forged = whole[:400] + body + hmac.digest(V2_KEY[:16].encode(), body, "sha256")
    with pytest.raises(IntegrityError) as padding:
        opened(forged)
    with pytest.raises(IntegrityError) as tag:
        opened(whole[:-1] + b"\0")
    assert str(padding.value) == str(tag.value)


def test_an_odd_filler_is_read_and_noticed() -> None:
    file = written(LONG)
    odd = file[:100] + b"\0" + file[101:]
    assert opened(odd) == LONG
    assert not CbcReader(io.BytesIO(odd), len(odd)).header.regular_filler


def test_the_last_bytes_are_held_back_until_the_tag_is_checked() -> None:
    file = written(PLAIN)
    forged = file[:-1] + bytes([file[-1] ^ 1])
    got = []
    with pytest.raises(IntegrityError):
        for piece in CbcReader(io.BytesIO(forged), len(forged)).pieces(V2_KEY):
            got.append(bytes(piece))
    assert b"".join(got) == PLAIN[:16], "only what the caller must not publish yet"


@pytest.mark.parametrize("length", [131_057, 131_064, 131_071, 196_607])
def test_lengths_that_the_original_cannot_read(length: int) -> None:
    assert is_unreadable_there(length)


@pytest.mark.parametrize("length", [0, 15, 65_535, 131_032, 131_056, 131_072, 196_575])
def test_lengths_that_the_original_reads(length: int) -> None:
    assert not is_unreadable_there(length)


def test_an_aborted_or_forgotten_writer_leaves_no_whole_file() -> None:
    sink = io.BytesIO()
    with pytest.raises(RuntimeError), CbcWriter(sink, V2_KEY, V2_WRAPPED) as writer:
        writer.write(LONG)
        raise RuntimeError
    forgotten = io.BytesIO()
    CbcWriter(forgotten, V2_KEY, V2_WRAPPED).write(LONG)
    for one in (sink, forgotten):
        with pytest.raises(IntegrityError):
            opened(one.getvalue())
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"more")


def test_every_file_has_its_own_iv() -> None:
    ivs = set()
    for _ in range(3):
        sink = io.BytesIO()
        CbcWriter(sink, V2_KEY, V2_WRAPPED).close()
        ivs.add(CbcReader(io.BytesIO(sink.getvalue()), 448).header.iv)
    assert len(ivs) == 3


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=376),
    st.binary(min_size=16, max_size=16),
)
def test_headers_go_both_ways(wrapped: str, iv: bytes) -> None:
    header = build_header(wrapped, iv)
    assert len(header) == 400
    assert parse_header(header) == (wrapped, iv, True)


def test_a_wrapped_key_that_does_not_fit_is_refused() -> None:
    with pytest.raises(IntegrityError):
        build_header("x" * 377, IV)


_MEMORY = """
import sys, tracemalloc
from ppml_ops.crypto.bigdl.container import CbcReader, CbcWriter
key, wrapped = "0" * 44, "1" * 32
with open(sys.argv[1], "w+b") as file:
    piece = bytes(1 << 20)
    tracemalloc.start()
    with CbcWriter(file, key, wrapped) as writer:
        for _ in range(64):
            writer.write(piece)
    file.seek(0)
    total = sum(len(one) for one in CbcReader(file, (64 << 20) + 448).pieces(key))
    assert total == 64 << 20
    print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_the_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("memory") / "file"
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 8 << 20

"""The sealed format against Google's own Tink, at every border, and against each kind of tampering."""

import io
import os
from pathlib import Path

import pytest
import tink
from hypothesis import given, settings
from hypothesis import strategies as st
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from ppml_ops.crypto.layout import HEADER, SEGMENT, TAG, plaintext_length, sealed_length, segment_count
from ppml_ops.crypto.parallel import open_file, seal_file
from ppml_ops.crypto.sealed import SealedReader, SealedWriter
from ppml_ops.errors import IntegrityError

KEY = bytes(range(32))
AD = b"sim-people"
FIRST = SEGMENT - HEADER - TAG
OTHER = SEGMENT - TAG
BORDERS = sorted(
    {0, 1, 15, 16, 17, 40, 56}
    | {FIRST + d for d in (-1, 0, 1)}
    | {FIRST + OTHER + d for d in (-1, 0, 1)}
    | {FIRST + 2 * OTHER + d for d in (-1, 0, 1)}
    | {5_000_000}
)


@pytest.fixture(scope="module")
def oracle() -> streaming_aead.StreamingAead:
    """Tink's own primitive over our raw key."""
    streaming_aead.register()
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
        ),
        key_value=KEY,
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_id=1,
        status=tink_pb2.ENABLED,
        output_prefix_type=tink_pb2.RAW,
        key_data=tink_pb2.KeyData(
            type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
            value=key.SerializeToString(),
            key_material_type=tink_pb2.KeyData.SYMMETRIC,
        ),
    )
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


def seal(data: bytes, key: bytes = KEY, ad: bytes = AD) -> bytes:
    sink = io.BytesIO()
    with SealedWriter(sink, key, ad) as writer:
        writer.write(data)
    return sink.getvalue()


def unseal(sealed: bytes, key: bytes = KEY, ad: bytes = AD) -> bytes:
    return SealedReader(io.BytesIO(sealed), key, ad).read()


class Unclosing(io.BytesIO):
    def close(self) -> None:
        """Tink closes what it writes to; the test still wants the bytes."""


@pytest.mark.parametrize("length", BORDERS)
def test_tink_reads_ours_and_we_read_tinks(oracle: streaming_aead.StreamingAead, length: int) -> None:
    data = os.urandom(length)
    sealed = seal(data)
    assert len(sealed) == sealed_length(length)
    assert plaintext_length(len(sealed)) == length
    assert oracle.new_decrypting_stream(io.BytesIO(sealed), AD).read() == data

    theirs = Unclosing()
    with oracle.new_encrypting_stream(theirs, AD) as stream:
        stream.write(data)
    assert unseal(theirs.getvalue()) == data


@pytest.mark.parametrize("length", BORDERS)
def test_files_sealed_by_two_threads_equal_streams(tmp_path: Path, length: int) -> None:
    data = os.urandom(length)
    plain, sealed, opened = tmp_path / "plain", tmp_path / "sealed", tmp_path / "opened"
    plain.write_bytes(data)
    done: list[int] = []
    result = seal_file(plain, sealed, KEY, AD, done.append)
    assert sum(done) == length
    assert result.length == sealed.stat().st_size == sealed_length(length)
    assert result.header == sealed.read_bytes()[:HEADER]
    assert unseal(sealed.read_bytes()) == data
    assert open_file(sealed, opened, KEY, AD) == length
    assert opened.read_bytes() == data
    assert opened.stat().st_mode & 0o777 == 0o600


@given(cuts=st.lists(st.integers(0, 3 * SEGMENT), max_size=6), chunk=st.integers(5_000, 2 * SEGMENT))
@settings(max_examples=25, deadline=None)
def test_any_way_of_writing_and_seeking_gives_the_same_bytes(cuts: list[int], chunk: int) -> None:
    data = os.urandom(2 * SEGMENT + 77)
    sink = io.BytesIO()
    with SealedWriter(sink, KEY, AD) as writer:
        for start in range(0, len(data), chunk):
            writer.write(data[start : start + chunk])
    reader = io.BufferedReader(SealedReader(io.BytesIO(sink.getvalue()), KEY, AD))
    for cut in cuts:
        reader.seek(cut)
        assert reader.read(1000) == data[cut : cut + 1000]


def three_segments() -> tuple[bytes, bytes]:
    data = os.urandom(FIRST + OTHER + 1000)
    return data, seal(data)


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


_OTHER_FILE = seal(os.urandom(FIRST + OTHER + 1000))
TAMPERED = {
    "bit of the first segment": lambda s: flip(s, HEADER + 10),
    "bit of a middle segment": lambda s: flip(s, SEGMENT + 10),
    "bit of the last tag": lambda s: flip(s, len(s) - 1),
    "header byte": lambda s: flip(s, 0),
    "salt": lambda s: flip(s, 5),
    "nonce prefix": lambda s: flip(s, HEADER - 1),
    "cut inside a segment": lambda s: s[: SEGMENT + 5000],
    "cut at a segment border": lambda s: s[: 2 * SEGMENT],
    "cut inside a tag": lambda s: s[: 2 * SEGMENT + 7],
    "cut to the header": lambda s: s[:HEADER],
    "cut to 56 bytes": lambda s: s[: HEADER + TAG],
    "empty": lambda s: b"",
    "segment dropped": lambda s: s[:SEGMENT] + s[2 * SEGMENT :],
    "segments swapped": lambda s: s[:SEGMENT] + s[2 * SEGMENT :] + s[SEGMENT : 2 * SEGMENT],
    "last segment twice": lambda s: s + s[2 * SEGMENT :],
    "bytes appended": lambda s: s + b"\0" * 100,
    "segment of another file under the same key": lambda s: (
        s[:SEGMENT] + _OTHER_FILE[SEGMENT : 2 * SEGMENT] + s[2 * SEGMENT :]
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_found_and_leaves_no_plaintext(tmp_path: Path, name: str) -> None:
    data, sealed = three_segments()
    tampered = TAMPERED[name](sealed)
    with pytest.raises(IntegrityError):
        unseal(tampered)
    source, target = tmp_path / "sealed", tmp_path / "opened"
    source.write_bytes(tampered)
    with pytest.raises(IntegrityError):
        open_file(source, target, KEY, AD)
    assert not target.exists()
    assert unseal(sealed) == data, "the untouched control opens"


def test_wrong_key_and_wrong_data_set_are_refused() -> None:
    sealed = seal(b"secret")
    with pytest.raises(IntegrityError, match="wrong key or data set"):
        unseal(sealed, key=bytes(32))
    with pytest.raises(IntegrityError):
        unseal(sealed, ad=b"other")


def test_abandoned_writer_leaves_nothing_that_reads_as_whole() -> None:
    sink = io.BytesIO()
    with pytest.raises(RuntimeError), SealedWriter(sink, KEY, AD) as writer:
        writer.write(os.urandom(2 * SEGMENT))
        raise RuntimeError
    with pytest.raises(IntegrityError):
        unseal(sink.getvalue())


def test_two_files_never_share_key_or_nonce() -> None:
    assert seal(b"same")[:HEADER] != seal(b"same")[:HEADER]


@given(st.binary(max_size=200) | st.binary(min_size=40, max_size=200).map(lambda b: b"\x28" + b))
def test_random_bytes_raise_only_our_errors(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        unseal(data)


@given(st.integers(0, 1 << 45))
def test_lengths_are_inverse(length: int) -> None:
    assert plaintext_length(sealed_length(length)) == length
    assert segment_count(sealed_length(length)) >= 1

"""Keys of the original: files, SimpleKMS arithmetic, plaintext primary keys, `.meta`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppml_ops.crypto.bigdl.datakey import file_keys
from ppml_ops.crypto.bigdl.keyfile import PlainPrimary, SimplePrimary, encode_key_file, parse_key_file
from ppml_ops.crypto.bigdl.meta import MAX_BYTES, encode_meta, parse_meta
from ppml_ops.crypto.bigdl.plainkey import plain_unwrap, plain_wrap
from ppml_ops.crypto.bigdl.simplekms import simple_unwrap, simple_wrap
from ppml_ops.errors import ConfigError, IntegrityError
from tests.support.bigdl import FIXTURES, KEY_FILES, SETS, data_key, plain_data_key

PRIMARY = "1234567890125678"
DIGITS = st.text("0123456789", min_size=16, max_size=16)


@pytest.mark.parametrize(
    ("wrapped", "key"),
    [
        ("48495051525354555657484950515253", "51544953485256515450524948565655"),
        ("0123456789012345", "57575757575757575757575755555555"),
        ("49515355574951535557495155574951", "51555055485556555455515548535653"),
    ],
)
def test_simple_vectors(wrapped: str, key: str) -> None:
    assert simple_unwrap(PRIMARY, wrapped) == key


def test_simple_wrap_vector() -> None:
    assert simple_wrap(PRIMARY, "0123456789012345") == "49515355574951535557495155574951"


@given(DIGITS, DIGITS)
def test_simple_keys_agree_with_the_second_implementation(primary: str, digits: str) -> None:
    wrapped = simple_wrap(primary, digits)
    assert len(wrapped) == 32
    assert simple_unwrap(primary, wrapped) == data_key(primary, wrapped)


def test_application_ids_with_letters() -> None:
    """Source of the rule: Java's remainder has the sign of the dividend."""
    assert simple_unwrap("a" * 16, "4" * 16) == "43" * 16
    assert len(simple_unwrap("a" * 16, simple_wrap("a" * 16, "0" * 16))) == 32


@pytest.mark.parametrize(
    "wrapped", ["", "123", "x" * 32, "1" * 15, "1" * 400, "\N{FULLWIDTH DIGIT FOUR}" * 32, "4\n" * 16]
)
def test_what_simple_kms_does_not_wrap(wrapped: str) -> None:
    with pytest.raises(IntegrityError, match="SimpleKeyManagementService"):
        simple_unwrap(PRIMARY, wrapped)


PLAIN_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
V3 = ("AAECAwQFBgcICQoLDA0ODw==", "fthySFpjBC8nxw4UH6vKI+aOUg7xEEpup7cG0t2Eyzo=")


def test_plain_vector() -> None:
    assert plain_wrap(bytes(range(32)), V3[0]) == V3[1]
    assert plain_unwrap(bytes(range(32)), V3[1]) == V3[0]
    assert plain_data_key(PLAIN_KEY, V3[1]) == V3[0]


@pytest.mark.parametrize("wrapped", ["", "AAAA", "!", "x" * 44, "Wm4EVwj7cZbwLlU9AsOmkp87dQSSb4vTbjEY6QOkzUo="])
def test_what_a_plain_key_did_not_wrap(wrapped: str) -> None:
    with pytest.raises(IntegrityError, match="plaintext primary key"):
        plain_unwrap(bytes(range(16)), wrapped)


@pytest.mark.parametrize("name", KEY_FILES)
def test_key_files_of_the_original(name: str) -> None:
    primary = parse_key_file(KEY_FILES[name].read_bytes())
    if name == "simple":
        assert primary == SimplePrimary("3789112233442356")
        assert encode_key_file(primary) == KEY_FILES[name].read_bytes()
    else:
        assert isinstance(primary, PlainPrimary)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nsecond line"])
def test_the_first_line_is_the_key(end: bytes) -> None:
    assert parse_key_file(PRIMARY.encode() + end) == SimplePrimary(PRIMARY)


@pytest.mark.parametrize(
    "data",
    [b"", b"\n" + PRIMARY.encode(), PRIMARY.encode() + b" ", b"123", b"\xff" * 16, b"12345678901234\x00\x01",
     b"A" * 2000, b"not base64 at all, it seems", b"QUJD", b"A" * 40],
)  # fmt: skip
def test_what_is_no_key_file(data: bytes) -> None:
    with pytest.raises(ConfigError, match="not a primary key") as error:
        parse_key_file(data)
    text = data.split(b"\n")[0].decode("latin-1")
    assert len(text) < 5 or text not in str(error.value), "an error shows nothing of a key"


@pytest.mark.parametrize("key", ["", "x" * 15, "x" * 16 + "\n", "é" * 32, "x" * 2000])
def test_texts_that_are_no_data_key(key: str) -> None:
    with pytest.raises(IntegrityError):
        file_keys(key)


def test_short_data_keys_end_in_zero_bytes() -> None:
    assert file_keys("0123456789abcdefXY") == (b"0123456789abcdef", b"XY" + bytes(14))
    assert file_keys("x" * 16).aes == bytes(16)


@pytest.mark.parametrize("name", SETS)
def test_meta_of_the_original(name: str) -> None:
    data = (FIXTURES / "data" / name / ".meta").read_bytes()
    assert parse_meta(data) == SETS[name]["meta_wrapped_key"]
    assert encode_meta(SETS[name]["meta_wrapped_key"]) == data


def test_meta_vector_v9() -> None:
    assert encode_meta(V3[1]) == f'{{\n  "encryptedDataKey" : "{V3[1]}"\n}}\n'.encode()
    assert len(encode_meta(V3[1])) == 74


@pytest.mark.parametrize(
    "data",
    [b'{"encryptedDataKey":"k"}', b'{"ENCRYPTEDDATAKEY": "k", "other": [1, {}]}',
     b'\n {"encryptedDataKey"\t:\n"k"} ',
     b'{"encryptedDataKey":"k","encryptedDatakey":"k"}'],
)  # fmt: skip
def test_meta_is_read_as_leniently_as_the_original_does(data: bytes) -> None:
    assert parse_meta(data) == "k"


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b'"encryptedDataKey"', b"{", b"\xff\xfe", b'{"encryptedDataKey":1}',
     b'{"encryptedDataKey":null}', b'{"encryptedDataKey":"a","encryptedDataKey":"b"}',
     b'{"encryptedDataKey":"' + b"k" * 377 + b'"}', b'{"encryptedDataKey":"\\u00e9"}',
     b'{"encryptedDataKey":"\\ud800"}', b'{"encryptedDataKey":"a\\nb"}', b" " * (MAX_BYTES + 1), b"[" * 50_000,
     b'[["encryptedDataKey","k"]]', b"1" * 5000],
)  # fmt: skip
def test_damaged_meta(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"damaged|wrapped data key"):
        parse_meta(data)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=376))
def test_meta_goes_both_ways(wrapped: str) -> None:
    assert parse_meta(encode_meta(wrapped)) == wrapped

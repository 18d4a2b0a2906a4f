"""Manifest v1: one encoding, authenticated, and nothing unknown accepted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppml_ops.datasets.manifest import Manifest, Part, build_manifest, parse_manifest
from ppml_ops.errors import IntegrityError
from tests.unit.datasets.conftest import KEY, head


def small() -> Manifest:
    parts = [
        Part(path="people/b", length=99, header="28" * 40, node="node-b"),
        Part(path="people/a", length=56, header="28" * 40),
    ]
    return build_manifest(head(), 1, parts, KEY)


def test_round_trip_keeps_every_field_and_authenticates() -> None:
    manifest = small()
    again = parse_manifest(manifest.encode())
    assert again == manifest
    assert [part.path for part in again.parts] == ["people/a", "people/b"]
    again.check(KEY)
    with pytest.raises(IntegrityError, match="not authentic"):
        again.check(bytes(32))


def test_known_answer() -> None:
    """The bytes other implementations (the JVM's) must produce; changing them breaks published data."""
    assert small().digest == "0e457368e192b32e8ed44dabd4b83c437ba01ce8d308b4d98c8d51cfa91ad7d8"


@pytest.mark.parametrize(
    "change",
    [
        {"ppml": "manifest/2"},
        {"unknown": 1},
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"dataset": "-x"},
        {"dataset": "A"},
        {"wraps": []},
        {"previous": "AB" * 32},
        {"mac": "00"},
        {"parts": [{"path": "../x", "length": 99, "header": "28" * 40}]},
        {"parts": [{"path": "/x", "length": 99, "header": "28" * 40}]},
        {"parts": [{"path": "a//x", "length": 99, "header": "28" * 40}]},
        {"parts": [{"path": "a\nb", "length": 99, "header": "28" * 40}]},
        {"parts": [{"path": "x", "length": 55, "header": "28" * 40}]},
        {"parts": [{"path": "x", "length": 1 << 53, "header": "28" * 40}]},
        {"parts": [{"path": "x", "length": 99, "header": "28"}]},
        {"parts": [{"path": p, "length": 99, "header": "28" * 40} for p in ("b", "a")]},
        {"parts": [{"path": p, "length": 99, "header": "28" * 40} for p in ("a", "a")]},
    ],
    ids=str,
)
def test_what_the_format_does_not_allow_is_refused(change: dict[str, object]) -> None:
    document = json.loads(small().encode()) | change
    with pytest.raises(IntegrityError):
        parse_manifest(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_another_encoding_of_the_same_document_is_refused() -> None:
    with pytest.raises(IntegrityError, match="canonical"):
        parse_manifest(json.dumps(json.loads(small().encode()), indent=1).encode())


def test_every_changed_byte_is_found() -> None:
    data = small().encode()
    for at in range(0, len(data), 7):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(IntegrityError):
            parse_manifest(changed).check(KEY)


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
@settings(max_examples=200)
def test_random_input_raises_only_our_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_manifest(data)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(IntegrityError):
        parse_manifest(b"[" * 200_000)

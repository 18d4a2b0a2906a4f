"""Key references and wrapped keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ppml_ops.canonical import b64e
from ppml_ops.errors import ConfigError
from ppml_ops.keys import KeyRef, WrappedKey


@pytest.mark.parametrize(
    ("text", "scheme", "location", "name", "version"),
    [
        ("local:people?version=2", "local", "", "people", 2),
        ("local:/abs/dir/people", "local", "/abs/dir/", "people", None),
        ("broker:people?version=1", "broker", "", "people", 1),
        ("broker://host:8443/people?version=1", "broker", "//host:8443/", "people", 1),
        ("simple:keys/My_Key.txt", "simple", "keys/", "My_Key.txt", None),
    ],
)
def test_parse(text: str, scheme: str, location: str, name: str, version: int | None) -> None:
    ref = KeyRef.parse(text)
    assert (ref.scheme, ref.location, ref.name, ref.version) == (scheme, location, name, version)
    assert str(ref) == text
    assert KeyRef.parse(str(ref.with_version(7))).version == 7
    assert ref.with_version(7).unversioned() == ref.unversioned()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "people",
        "local:",
        "local:..",
        "local:.hidden",
        "local:people?version=0",
        "local:people?version=01",
        "local:people?version=1&x=2",
        "local:people?",
        "local:people?version=99999999",
        "local:people?version=9999999",
        "local:a b",
        "local:people\n",
        "LOCAL:people",
        "local:pe\u00f6ple",
        "local:/a\u0000/people",
        "local:" + "x" * 2000,
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(ConfigError):
        KeyRef.parse(text)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_a_config_error(text: str) -> None:
    try:
        ref = KeyRef.parse(text)
    except ConfigError:
        return
    assert str(ref) == text


def test_a_reference_is_a_safe_file_name() -> None:
    with pytest.raises(ValidationError):
        KeyRef(scheme="local", name="../people")


@pytest.mark.parametrize(
    "change",
    [
        {"key": "broker:people"},
        {"key": "nothing"},
        {"algorithm": "A128KW"},
        {"wrapped": b64e(bytes(39))},
        {"wrapped": "!"},
        {"more": 1},
    ],
)
def test_wrapped_keys_are_strict(change: dict[str, object]) -> None:
    good = {"key": "broker:people?version=1", "algorithm": "HKDF-SHA256+A256KW", "wrapped": b64e(bytes(40))}
    assert WrappedKey.model_validate(good).ref.version == 1
    with pytest.raises(ValidationError):
        WrappedKey.model_validate(good | change)

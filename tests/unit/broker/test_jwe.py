"""The secret envelope against other implementations, and against changed bytes."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import ECKey
from jwcrypto import jwe as jwcrypto_jwe
from jwcrypto import jwk as jwcrypto_jwk

from ppml_ops.broker import jwe
from ppml_ops.errors import IntegrityError

SECRET = b"the key bundle"


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    """The TEE's ephemeral key."""
    return ec.generate_private_key(ec.SECP256R1())


def as_jwk(private: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    x, y = jwe.ec_coordinates(private.public_key())
    d = private.private_numbers().private_value.to_bytes(32, "big")
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": jwe.b64url(d)}


def test_round_trip(private: ec.EllipticCurvePrivateKey) -> None:
    assert jwe.decrypt(jwe.encrypt(SECRET, private.public_key()), private) == SECRET


def test_has_exactly_the_members_of_the_protocol(private: ec.EllipticCurvePrivateKey) -> None:
    envelope = jwe.encrypt(SECRET, private.public_key())
    assert set(envelope) == {"protected", "encrypted_key", "iv", "ciphertext", "tag"}
    header = json.loads(jwe.unb64url(envelope["protected"]))
    assert list(header) == ["alg", "enc", "epk"]
    assert list(header["epk"]) == ["crv", "kty", "x", "y"]


def test_rust_client_that_reserialises_the_header(private: ec.EllipticCurvePrivateKey) -> None:
    """Trap 1: guest-components parses the header into alg, enc and a sorted map, and writes it again as AAD."""
    envelope = jwe.encrypt(SECRET, private.public_key())
    header = json.loads(jwe.unb64url(envelope["protected"]))
    others = {name: header[name] for name in sorted(header) if name not in ("alg", "enc")}
    others["epk"] = dict(sorted(others["epk"].items()))
    rebuilt = {"alg": header["alg"], "enc": header["enc"], **others}
    aad = base64.urlsafe_b64encode(json.dumps(rebuilt, separators=(",", ":")).encode()).rstrip(b"=")
    epk = jwe.ec_public_key(header["epk"]["x"], header["epk"]["y"])
    content_key = aes_key_unwrap(jwe._wrapping_key(private, epk), jwe.unb64url(envelope["encrypted_key"]))
    sealed = jwe.unb64url(envelope["ciphertext"]) + jwe.unb64url(envelope["tag"])
    assert AESGCM(content_key).decrypt(jwe.unb64url(envelope["iv"]), sealed, aad) == SECRET


def test_jwcrypto_opens_it(private: ec.EllipticCurvePrivateKey) -> None:
    token = jwcrypto_jwe.JWE()
    token.deserialize(json.dumps(jwe.encrypt(SECRET, private.public_key())))
    token.decrypt(jwcrypto_jwk.JWK(**as_jwk(private)))
    assert token.payload == SECRET


def test_joserfc_opens_it(private: ec.EllipticCurvePrivateKey) -> None:
    envelope = jwe.encrypt(SECRET, private.public_key())
    opened = joserfc_jwe.decrypt_json(
        envelope, ECKey.import_key(as_jwk(private)), algorithms=["ECDH-ES+A256KW", "A256GCM"]
    )
    assert opened.plaintext == SECRET


def test_opens_what_jwcrypto_makes_in_compact_form(private: ec.EllipticCurvePrivateKey) -> None:
    public = {name: value for name, value in as_jwk(private).items() if name != "d"}
    token = jwcrypto_jwe.JWE(
        SECRET, json.dumps({"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}), recipient=jwcrypto_jwk.JWK(**public)
    )
    names = ("protected", "encrypted_key", "iv", "ciphertext", "tag")
    parts = dict(zip(names, token.serialize(compact=True).split("."), strict=True))
    assert jwe.decrypt(parts, private) == SECRET


@pytest.mark.parametrize("member", ["protected", "encrypted_key", "iv", "ciphertext", "tag"])
def test_a_changed_member_does_not_open(private: ec.EllipticCurvePrivateKey, member: str) -> None:
    envelope = jwe.encrypt(SECRET, private.public_key())
    first = envelope[member][0]
    envelope[member] = ("B" if first != "B" else "C") + envelope[member][1:]
    with pytest.raises(IntegrityError):
        jwe.decrypt(envelope, private)


def test_another_key_does_not_open(private: ec.EllipticCurvePrivateKey) -> None:
    envelope = jwe.encrypt(SECRET, private.public_key())
    with pytest.raises(IntegrityError):
        jwe.decrypt(envelope, ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize("strange", [None, [], "x", {}, {"protected": 1}, {"protected": "W10"}])
def test_strange_envelopes(private: ec.EllipticCurvePrivateKey, strange: object) -> None:
    with pytest.raises(IntegrityError):
        jwe.decrypt(strange, private)


@pytest.mark.parametrize("x", ["", "AA", "A" * 44, "A" * 43 + "=", "+" * 43])
def test_coordinates_are_32_bytes_of_unpadded_base64url(x: str) -> None:
    """Trap 3."""
    with pytest.raises(ValueError):
        jwe.ec_public_key(x, x)

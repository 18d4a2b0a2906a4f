"""Ed25519 keys as JWK, and compact JWS with them (RFC 7515, 8037); algorithm and type are fixed by us."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import OKPKey

from ppml_ops.canonical import canonical_json
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.files import create_only
from ppml_ops.keys.store import require_private

MAX_JWS = 768 * 1024


class _Registry(jws.JWSRegistry):
    """EdDSA only. RFC 9864 renamed it to Ed25519; our formats fixed the name that all readers know."""

    max_payload_length = MAX_JWS

    def get_alg(self, name: str) -> JWSAlgModel:
        if name != "EdDSA":
            raise JoseError(description="only EdDSA signatures are accepted")
        return self.algorithms[name]


_REGISTRY = _Registry()


def signing_key(path: Path) -> OKPKey:
    """The Ed25519 key in the private file `path`; made create-only when absent.

    Raises:
        ConfigError: others could read the file.
        IntegrityError: it isn't such a key.
    """
    if not path.exists():
        fresh = OKPKey.generate_key("Ed25519").as_dict(private=True)
        with suppress(FileExistsError):  # another process was faster: its key is the one
            create_only(path, canonical_json(fresh), mode=0o600)
    require_private(path)
    try:
        key = OKPKey.import_key(json.loads(path.read_bytes()))
    except (ValueError, TypeError, JoseError):
        key = None
    if key is None or key.curve_name != "Ed25519" or not key.is_private:
        raise IntegrityError(f"{path} is not an Ed25519 signing key", next_step="restore it from your backup")
    return key


def public_key(jwk: Any) -> OKPKey:
    """The Ed25519 public key in `jwk` (a dict).

    Raises:
        ConfigError: another kind of key, or one with its private part.
    """
    try:
        key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")})
        if key.curve_name == "Ed25519" and "d" not in jwk:
            key.raw_value  # noqa: B018 - decodes the point
            return key
    except (ValueError, TypeError, KeyError, JoseError):
        pass
    raise ConfigError(
        "not an Ed25519 public key in JWK form", next_step='send {"kty":"OKP","crv":"Ed25519","x":"…"}'
    )


def public_jwk(key: OKPKey) -> dict[str, str]:
    """The three public members, which are also what the RFC 7638 thumbprint covers."""
    members = key.as_dict(private=False)
    return {name: str(members[name]) for name in ("crv", "kty", "x")}


def sign_compact(payload: bytes, key: OKPKey, typ: str) -> str:
    """`payload` as a compact JWS of type `typ`, `kid` is the key's thumbprint."""
    header = {"alg": "EdDSA", "typ": typ, "kid": key.thumbprint()}
    return jws.serialize_compact(header, payload, key, registry=_REGISTRY)


def read_header(text: str) -> dict[str, Any]:
    """The protected header of a compact JWS, unverified: it only tells which key to verify with.

    Raises:
        ValueError: not a compact JWS.
    """
    if len(text) > MAX_JWS or not text.isascii():
        raise ValueError("not a compact JWS")
    try:
        return dict(jws.extract_compact(text.encode("ascii"), registry=_REGISTRY).headers())
    except (JoseError, TypeError, RecursionError) as error:
        raise ValueError("not a compact JWS") from error


def verify_compact(text: str, key: OKPKey, typ: str) -> bytes:
    """The payload, when `key` signed it as `typ`.

    Raises:
        ValueError: not a JWS, another type or algorithm, or a bad signature.
    """
    if read_header(text).get("typ") != typ:
        raise ValueError(f"the JWS is not of type {typ}")
    try:
        return jws.deserialize_compact(text, key, registry=_REGISTRY).payload
    except JoseError as error:
        raise ValueError("the signature does not verify") from error

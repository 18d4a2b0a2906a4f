"""Attestation tokens of RCAR: EAT attestation results (EAR), JWT with ES256.

They say how far the evidence was appraised. Whether a key is released is each data set's policy, later; so
`executables` stays "unrecognised" (33) here, and simulated or missing hardware is 97, "contraindicated".
"""

import json
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ppml_ops.attestation.claims import Claims
from ppml_ops.broker.rcar.kbs_v0_4 import RuntimeData
from ppml_ops.canonical import canonical_json

PROFILE = "tag:github.com,2024:confidential-containers/Trustee"
_GENUINE, _OUTDATED, _UNRECOGNISED_CODE, _UNRECOGNISED_HARDWARE = 2, 32, 33, 97


def make_token(
    key: ECKey,
    *,
    trust_domain: str,
    tee: str,
    claims: Claims | None,
    runtime: RuntimeData,
    handle: str,
    issued: int,
    expires: int,
) -> str:
    """The token of one accepted attestation.

    Args:
        claims: None for the unsigned `sample` TEE.
        handle: `jti`, by which the broker finds the session again.
        issued: Unix seconds, as `expires`.
    """
    hardware = _hardware(claims)
    known = claims.model_dump(mode="json", exclude_none=True) if claims else {}
    body = {
        "eat_profile": PROFILE,
        "iss": f"ppml-ops:{trust_domain}",
        "iat": issued,
        "exp": expires,
        "jti": handle,
        "ear.verifier-id": {"developer": "ppml-ops", "build": trust_domain},
        "submods": {
            "cpu0": {
                "ear.status": "contraindicated" if hardware == _UNRECOGNISED_HARDWARE else "warning",
                "ear.trustworthiness-vector": {"hardware": hardware, "executables": _UNRECOGNISED_CODE},
                "ear.appraisal-policy-id": "ppml-ops",
                "ear.veraison.annotated-evidence": {
                    "runtime_data_claims": {
                        "nonce": runtime.nonce,
                        "tee-pubkey": runtime.tee_pubkey.model_dump(),
                    },
                    "report_data": known.get("report_data", ""),
                    "init_data": "",
                    tee: known,
                },
            }
        },
    }
    public = key.as_dict(private=False)
    jwk = {name: public[name] for name in ("kty", "crv", "x", "y")} | {"alg": "ES256"}
    header = {"alg": "ES256", "typ": "JWT", "kid": key.thumbprint(), "jwk": jwk}
    return jws.serialize_compact(header, canonical_json(body), key, algorithms=["ES256"])


def read_handle(key: ECKey, token: str) -> str:
    """The `jti` of a token that `key` signed. Expiry is the session's.

    Raises:
        ValueError: not such a token.
    """
    try:
        body: Any = json.loads(jws.deserialize_compact(token, key, algorithms=["ES256"]).payload)
        return str(body["jti"])
    except (JoseError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a token of this broker") from error


def _hardware(claims: Claims | None) -> int:
    if claims is None or claims.simulated or not claims.attested:
        return _UNRECOGNISED_HARDWARE
    return _GENUINE if claims.tcb_status == "UpToDate" else _OUTDATED

"""Client of the broker: attested release of key bundles, dry runs, records, and the owner's calls."""

import json
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ppml_ops.attestation.evidence import EvidenceProvider
from ppml_ops.broker import jwe
from ppml_ops.broker.audit_record import AuditRecord
from ppml_ops.broker.bundle import KeyBundle
from ppml_ops.broker.jose import public_key
from ppml_ops.broker.rcar import kbs_v0_4 as kbs
from ppml_ops.broker.rcar.client import attest, attestation, ephemeral, send
from ppml_ops.broker.release import Decision
from ppml_ops.broker.tickets import Hex64
from ppml_ops.canonical import b64e
from ppml_ops.errors import (
    DeniedError,
    IntegrityError,
)
from ppml_ops.keys.broker_http import BrokerHttp

_RECORDS = TypeAdapter(list[AuditRecord])


class BrokerInfo(BaseModel):
    """Who a broker is, told over TLS under the pinned CA; `broker_key` verifies bundles and audit records.

    `owners` are the public keys whose signature makes a job ticket.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    trust_domain: Hex64
    simulated: bool
    broker_key: dict[str, str]
    owners: list[dict[str, str]] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def key(self) -> OKPKey:
        """The broker's Ed25519 public key."""
        return public_key(self.broker_key)


class BrokerClient:
    """One broker.

    Args:
        url: its https address, as endpoint.json says.
        ca_path: PEM of its private CA; nothing else is trusted.
        token: the owner's bearer token, for owner calls only; see `ppml_ops.keys.broker.read_token`.
    """

    def __init__(self, url: str, ca_path: Path, *, token: str | None = None) -> None:
        self._url = url
        self._ca = Path(ca_path)
        self._token = token

    # -- the TEE's side ----------------------------------------------------------------------------------

    def release(
        self, ticket_jws: str, evidence_provider: EvidenceProvider, generation: str, tee: str
    ) -> KeyBundle:
        """Attest with a fresh key of this call and get the ticket's key bundle.

        Raises:
            DeniedError: ticket, evidence or policy does not allow it; all reasons are in the message.
            IntegrityError: the reply is not from the broker that the CA and its key name.
            TransientError: the broker or the evidence device is away, or busy.
        """
        jti = _ticket_id(ticket_jws)
        http = BrokerHttp(self._url, self._ca)
        try:
            info = self._info(http)
            extra = {"job-ticket": ticket_jws, "generation": generation}
            private = attest(http, evidence_provider, tee, extra)
            envelope = send(http, "GET", f"/resource/ppml/keybundle/{jti}")
        finally:
            http.close()
        bundle = KeyBundle.verify(jwe.decrypt(envelope, private), info.key)
        promised = (jti, info.trust_domain, info.simulated)
        if (bundle.ticket, bundle.trust_domain, bundle.simulated) != promised:
            raise IntegrityError(
                "the key bundle is for another ticket or trust domain",
                next_step="find out who answers at the broker's address",
            )
        return bundle

    def resource(self, path: str, evidence_provider: EvidenceProvider, tee: str) -> bytes:
        """A plain resource (repository/type/tag), released without a ticket; raises as `release`."""
        http = BrokerHttp(self._url, self._ca)
        try:
            private = attest(http, evidence_provider, tee, {})
            envelope = send(http, "GET", f"/resource/{quote(path)}")
        finally:
            http.close()
        return jwe.decrypt(envelope, private)

    def appraise(self, ticket_jws: str, evidence_provider: EvidenceProvider, tee: str) -> Decision:
        """Dry run: what a release would be decided now. No key, no activation, no proof of freshness.

        Raises:
            DeniedError: ticket or evidence is refused before any policy is asked.
            TransientError: the broker is away or busy.
        """
        _private, runtime = ephemeral(b64e(secrets.token_bytes(32)))
        evidence = evidence_provider.quote(kbs.report_data(runtime))
        body = attestation(runtime, evidence) | {"tee": tee, "ticket": ticket_jws}
        reply = self._call("POST", "/appraise", body, owner=False)
        try:
            return Decision.model_validate_json(json.dumps(reply))
        except ValidationError:
            raise _strange() from None

    # -- for everybody -----------------------------------------------------------------------------------

    def info(self) -> BrokerInfo:
        """Who this broker is."""
        http = BrokerHttp(self._url, self._ca)
        try:
            return self._info(http)
        finally:
            http.close()

    def releases(self, jti: str) -> list[AuditRecord]:
        """The signed release records of a ticket, each verified with the broker's key.

        Raises:
            IntegrityError: a record is not the broker's.
        """
        key = self.info().key
        try:
            records = _RECORDS.validate_json(json.dumps(self._call("GET", f"/releases/{quote(jti, '')}")))
            for record in records:
                record.verify(key.raw_value)  # type: ignore[arg-type]  # `public_key` gives Ed25519 only
        except (ValidationError, ValueError):
            raise _strange() from None
        return records

    # -- the owner's side --------------------------------------------------------------------------------

    def put_policy(self, dataset: str, text: str) -> str:
        """Store a data set's policy (YAML); returns its digest. ConfigError when it is no policy."""
        return str(self._call("PUT", f"/policies/{quote(dataset, '')}", {"policy": text})["policy_digest"])

    def get_policy(self, dataset: str) -> str:
        """The stored YAML; ConfigError when there is none."""
        return str(self._call("GET", f"/policies/{quote(dataset, '')}")["policy"])

    def list_policies(self) -> list[str]:
        """Data sets that have a policy."""
        return [str(name) for name in self._call("GET", "/policies")]

    def register_owner(self, jwk: dict[str, str]) -> str:
        """Accept tickets signed by this Ed25519 public key from now on; returns its thumbprint."""
        public = {name: jwk.get(name) for name in ("kty", "crv", "x")}
        return str(self._call("POST", "/owners", public)["thumbprint"])

    def revoke_ticket(self, jti: str) -> None:
        """Release nothing more for this ticket."""
        self._call("POST", f"/tickets/{quote(jti, '')}/revoke")

    def put_resource(self, path: str, value: bytes, *, policy: str | None = None, sample: bool = False) -> None:
        """Store a plain resource (repository/type/tag), released under the data set policy `policy`."""
        self._call(
            "PUT", f"/resources/{quote(path)}", {"value": b64e(value), "policy": policy, "sample": sample}
        )

    # -- wire --------------------------------------------------------------------------------------------

    def _call(self, method: str, path: str, body: Any = None, *, owner: bool = True) -> Any:
        http = BrokerHttp(self._url, self._ca, self._token if owner else None)
        try:
            return http.call(method, "/ppml/v1" + path, body)
        finally:
            http.close()

    @staticmethod
    def _info(http: BrokerHttp) -> BrokerInfo:
        try:
            return BrokerInfo.model_validate(http.call("GET", "/ppml/v1/info"))
        except ValidationError:
            raise _strange() from None


def _ticket_id(ticket_jws: str) -> str:
    """`jti` of a ticket, read without verification: the broker verifies it."""
    try:
        jti = json.loads(jwe.unb64url(ticket_jws.split(".")[1]))["jti"]
        if isinstance(jti, str) and re.fullmatch(r"[0-9a-f]{32}", jti):
            return jti
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        pass
    raise DeniedError("the job ticket is not a signed ticket", next_step="issue a ticket again")


def _strange() -> IntegrityError:
    return IntegrityError(
        "the key broker's reply is not what its API promises",
        next_step="check that both sides run the same version of PPML Ops",
        who="the operator",
    )

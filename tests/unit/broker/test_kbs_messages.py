"""RCAR messages: the shapes that Trustee sends and expects, and the traps of the protocol."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ppml_ops.attestation.evidence import Evidence
from ppml_ops.attestation.trust import TrustDomain
from ppml_ops.broker import http_kbs, http_public
from ppml_ops.broker.evidence import check_tee
from ppml_ops.broker.jwe import b64url, unb64url
from ppml_ops.broker.rcar import kbs_v0_4 as kbs
from ppml_ops.broker.rcar.client import attestation, ephemeral
from ppml_ops.broker.rcar.errors import RcarError
from ppml_ops.broker.sessions import SessionStore
from ppml_ops.canonical import b64d, b64e

from .builders import JTI, NOW, TOKEN, World, policy_yaml

# Requests cross threads, so single examples may be slow on a busy machine.
_FUZZ = settings(deadline=None, max_examples=60)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def runtime(nonce: str = "AAAA") -> kbs.RuntimeData:
    return ephemeral(nonce)[1]


def strict_rust_server(body: bytes) -> bytes:
    """What Trustee hashes: known members only, as its types write them again, in RFC 8785 order."""
    message = json.loads(body)
    key = message["runtime-data"]["tee-pubkey"]
    known = {name: key[name] for name in ("alg", "crv", "kty", "x", "y")}
    document = {
        "additional-evidence": message["tee-evidence"]["additional_evidence"],
        "nonce": message["runtime-data"]["nonce"],
        "tee-pubkey": known,
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha384(text.encode()).digest() + bytes(16)


def test_report_data_agrees_with_a_model_of_trustees_server() -> None:
    """Trap 4: the empty additional evidence is hashed too."""
    data = runtime()
    body = json.dumps(attestation(data, Evidence("tdx", b"q", b"[]"))).encode()
    expected = kbs.report_data(data)
    assert expected == strict_rust_server(body)
    assert len(expected) == 64
    assert expected[48:] == bytes(16)


def test_known_answer_of_the_hash_input() -> None:
    """RFC 8785 form, written out by hand once."""
    point = json.loads(
        '{"x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}'
    )
    x, y = point["x"], point["y"]
    data = kbs.RuntimeData(nonce="bm9uY2U=", tee_pubkey=kbs.TeePublicKey(x=x, y=y))
    text = (
        '{"additional-evidence":"","nonce":"bm9uY2U=","tee-pubkey":{"alg":"ECDH-ES+A256KW","crv":"P-256",'
        f'"kty":"EC","x":"{x}","y":"{y}"}}}}'
    )
    assert kbs.runtime_digest(data) == hashlib.sha384(text.encode()).digest()


@pytest.mark.parametrize(("algorithm", "size"), [("sha256", 32), ("sha384", 48), ("sha512", 64)])
def test_selected_hash_algorithm(algorithm: str, size: int) -> None:
    challenge = kbs.Challenge(nonce="AAAA", extra_params={"selected-hash-algorithm": algorithm})
    data = kbs.report_data(runtime(), algorithm=kbs.selected_hash(challenge))
    assert data[size:] == bytes(64 - size)
    assert any(data[:size])


@pytest.mark.parametrize("extra", ["", None, {}, [], {"selected-hash-algorithm": 7}])
def test_hash_algorithm_is_sha384_unless_selected(extra: Any) -> None:
    assert kbs.selected_hash(kbs.Challenge(nonce="AAAA", extra_params=extra)) == "sha384"


def test_wire_names() -> None:
    request = kbs.Request(version="0.4.0", tee="tdx", extra_params="")
    assert request.model_dump() == {"version": "0.4.0", "tee": "tdx", "extra-params": ""}
    message = attestation(runtime(), Evidence("tdx", b"quote", None))
    assert set(message) == {"init-data", "runtime-data", "tee-evidence"}
    assert message["init-data"] is None
    assert set(message["runtime-data"]["tee-pubkey"]) == {"kty", "crv", "alg", "x", "y"}
    assert message["tee-evidence"] == {
        "primary_evidence": {"quote": b64e(b"quote"), "cc_eventlog": None},
        "additional_evidence": "",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"alg": "RSA1_5"},
        {"alg": "ECDH-ES"},
        {"x": "AA"},
        {"x": "A" * 43 + "="},
        {"y": "A" * 43},
        {"x": 1},
    ],
)
def test_other_keys_are_refused(change: dict[str, Any]) -> None:
    good = runtime().tee_pubkey.model_dump()
    with pytest.raises(ValidationError):
        kbs.TeePublicKey.model_validate(good | change)


class TestServer:
    def test_challenge_shape(self, world: World) -> None:
        reply = world.auth(None)
        assert set(reply.json()) == {"nonce", "extra-params"}
        assert reply.json()["extra-params"] == ""
        assert len(b64d(reply.json()["nonce"])) == 32
        cookie = reply.cookies["kbs-session-id"]
        assert len(cookie) == 32
        assert "Secure" in reply.headers["set-cookie"]

    @pytest.mark.parametrize("version", ["0.2.0", "0.4.1", "0.4", "=0.4.0", "1.0.0"])
    def test_version_is_compared_exactly(self, world: World, version: str) -> None:
        reply = world.auth(None, version=version)
        assert reply.status_code == 401
        assert reply.json()["type"].endswith("/ProtocolVersion")

    @pytest.mark.parametrize("tee", ["snp", "az-tdx-vtpm", "nvidia", "cca"])
    def test_other_tees(self, world: World, tee: str) -> None:
        assert world.auth(None, tee).status_code == 401

    def test_extra_params_are_free(self, world: World) -> None:
        for extra in ("", None, [], 7, {"supported-hash-algorithms": ["sha384"]}):
            assert world.auth(None, **{"extra-params": extra}).status_code == 200

    def test_extra_members_of_the_key_are_not_hashed(self, world: World) -> None:
        """Trap 2: a client that hashes `kid` fails, one that only sends it passes."""
        for hashed, status in ((True, 401), (False, 200)):
            nonce = world.auth(world.ticket()).json()["nonce"]
            data = runtime(nonce)
            body = attestation(data, world.td().quote(kbs.report_data(data)))
            body["runtime-data"]["tee-pubkey"]["kid"] = "mine"
            if hashed:
                key = body["runtime-data"]["tee-pubkey"]
                text = {"additional-evidence": "", "nonce": nonce, "tee-pubkey": key}
                digest = hashlib.sha384(json.dumps(text, sort_keys=True, separators=(",", ":")).encode())
                quote = world.td().quote(digest.digest() + bytes(16)).quote
                body["tee-evidence"]["primary_evidence"]["quote"] = b64e(quote)
            assert world.http.post("/kbs/v0/attest", json=body).status_code == status

    def test_older_client_that_does_not_hash_additional_evidence(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        data = runtime(nonce)
        text = {"nonce": nonce, "tee-pubkey": data.tee_pubkey.model_dump()}
        digest = hashlib.sha384(json.dumps(text, sort_keys=True, separators=(",", ":")).encode()).digest()
        body = attestation(data, world.td().quote(digest + bytes(16)))
        assert world.http.post("/kbs/v0/attest", json=body).status_code == 401

    def test_additional_evidence_is_hashed_when_present(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        data = runtime(nonce)
        body = attestation(data, world.td().quote(kbs.report_data(data, "more")))
        body["tee-evidence"]["additional_evidence"] = "more"
        assert world.http.post("/kbs/v0/attest", json=body).status_code == 200

    @pytest.mark.parametrize("change", [lambda q: b64url(q + b"\xff" * 3), lambda q: b64e(q).rstrip("=") + "!"])
    def test_quotes_are_standard_base64(self, world: World, change: Any) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        data = runtime(nonce)
        quote = world.td().quote(kbs.report_data(data))
        body = attestation(data, quote)
        body["tee-evidence"]["primary_evidence"]["quote"] = change(quote.quote)
        assert world.http.post("/kbs/v0/attest", json=body).status_code == 401

    def test_token_is_a_readable_ear(self, world: World) -> None:
        """Trap 5."""
        nonce = world.auth(world.ticket()).json()["nonce"]
        reply, _ = world.attest(nonce, world.td())
        header, payload, _signature = reply.json()["token"].split(".")
        body = json.loads(unb64url(payload))
        assert body["exp"] == NOW + 300
        submodule = body["submods"]["cpu0"]
        assert submodule["ear.status"] == "contraindicated"
        assert submodule["ear.trustworthiness-vector"]["hardware"] == 97
        evidence = submodule["ear.veraison.annotated-evidence"]
        assert set(evidence["runtime_data_claims"]["tee-pubkey"]) == {"kty", "crv", "alg", "x", "y"}
        assert evidence["tdx"]["simulated"] is True
        assert json.loads(unb64url(header))["jwk"]["alg"] == "ES256"

    def test_bearer_token_instead_of_the_cookie(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        reply, private = world.attest(nonce, world.td())
        token = reply.json()["token"]
        world.http.cookies.clear()
        path = f"/kbs/v0/resource/ppml/keybundle/{JTI}"
        good = world.http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert world.open_bundle(good.json(), private).datasets[0].key_bytes == world.data_key
        forged = token[:-6] + ("AAAAAA" if not token.endswith("AAAAAA") else "BBBBBB")
        for header in (f"Bearer {forged}", "Bearer x", "Basic x", "Bearer"):
            assert world.http.get(path, headers={"Authorization": header}).status_code == 401

    def test_quote_limit(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        body = attestation(runtime(nonce), world.td().quote(bytes(64)))
        body["tee-evidence"]["primary_evidence"]["quote"] = b64e(bytes(kbs.MAX_QUOTE + 1))
        reply = world.http.post("/kbs/v0/attest", json=body)
        assert reply.status_code == 401
        assert "longer than 16384" in reply.json()["detail"]

    def test_body_limit(self, world: World) -> None:
        big = b"x" * (kbs.MAX_BODY + 1)
        assert world.http.post("/kbs/v0/auth", content=big).status_code == 413
        assert world.http.post("/kbs/v0/auth", content=iter([big[: 1 << 19]] * 3)).status_code == 413

    def test_unknown_path_has_the_kbs_shape(self, world: World) -> None:
        reply = world.http.get("/kbs/v0/nothing")
        assert reply.status_code == 404
        assert set(reply.json()) == {"type", "detail"}

    def test_too_many_sessions(self, world: World) -> None:
        store = SessionStore(world.clock, limit=2)
        store.open("tdx", None)
        store.open("tdx", None)
        with pytest.raises(RcarError, match="too many"):
            store.open("tdx", None)
        world.clock.now += 301
        store.open("tdx", None)

    def test_nonce_is_bound_to_the_ticket(self, world: World) -> None:
        """Anyone with the audit record and the ticket can recompute the nonce."""
        ticket = world.ticket()
        nonce = world.auth(ticket).json()["nonce"]
        (record,) = world.events("challenge")
        random = bytes.fromhex(record["nonce_random"])
        digest = hashlib.sha256(ticket.encode()).digest()
        expected = hashlib.sha256(b"ppml-ops/nonce/v1" + (32).to_bytes(4, "big") + random + digest).digest()
        assert base64.b64decode(nonce) == expected


class TestSample:
    def attest(self, world: World, nonce: str, digest: bytes | None = None) -> Any:
        data = runtime(nonce)
        primary = {"svn": "1", "report_data": b64e(digest or kbs.runtime_digest(data))}
        body = {
            "init-data": None,
            "runtime-data": data.model_dump(),
            "tee-evidence": {"primary_evidence": primary, "additional_evidence": ""},
        }
        return world.http.post("/kbs/v0/attest", json=body)

    def test_gets_only_resources_that_say_so(self, world: World) -> None:
        for path, sample in (("default/key/open", True), ("default/key/shut", False)):
            body = {"value": "c2VjcmV0", "policy": "sim-people", "sample": sample}
            world.owner_call("PUT", f"/resources/{path}", body)
        nonce = world.auth(None, "sample").json()["nonce"]
        assert self.attest(world, nonce).status_code == 200
        assert world.fetch("default/key/open").status_code == 200
        assert world.fetch("default/key/shut").status_code == 401
        assert world.fetch().status_code == 401

    def test_never_with_a_ticket(self, world: World) -> None:
        world.state.policies.put("sim-people", policy_yaml("sim-people"))
        assert world.auth(world.ticket(), "sample").status_code == 401

    def test_wrong_digest(self, world: World) -> None:
        nonce = world.auth(None, "sample").json()["nonce"]
        assert self.attest(world, nonce, bytes(48)).status_code == 401

    def test_production_domain_refuses_it(self) -> None:
        with pytest.raises(RcarError, match="not a simulated one"):
            check_tee("sample", TrustDomain.intel(), with_ticket=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One broker for all examples of a property; rate limits are out of the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_kbs, "AUTH_BURST", 1_000_000)
        patch.setattr(http_public, "APPRAISE_BURST", 1_000_000)
        return World(tmp_path_factory.mktemp("fuzz") / "broker")


def _answers(world: World, method: str, path: str, body: bytes, token: bool = False) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if token else {}
    reply = world.http.request(method, path, content=body, headers=headers)
    full = reply.status_code == 503 and "too many handshakes" in reply.text
    assert 200 <= reply.status_code < 500 or full, (path, body, reply.text)
    assert isinstance(reply.json(), (dict, list))


@_FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_get_a_clean_answer(shared: World, body: bytes) -> None:
    for path in ("/kbs/v0/auth", "/kbs/v0/attest", "/ppml/v1/appraise"):
        _answers(shared, "POST", path, body)


@_FUZZ
@given(_JSON, st.sampled_from(["tdx", "sgx", "none", "sample", "x"]))
def test_any_extra_params_get_a_clean_answer(shared: World, extra: Any, tee: str) -> None:
    body = {"version": "0.4.0", "tee": tee, "extra-params": {"job-ticket": extra, "generation": extra}}
    _answers(shared, "POST", "/kbs/v0/auth", json.dumps(body).encode())


@_FUZZ
@given(_JSON, _JSON)
def test_any_evidence_gets_a_clean_answer(shared: World, primary: Any, additional: Any) -> None:
    nonce = fresh_nonce(shared)
    body = {
        "init-data": None,
        "runtime-data": runtime(nonce).model_dump(),
        "tee-evidence": {"primary_evidence": primary, "additional_evidence": additional},
    }
    _answers(shared, "POST", "/kbs/v0/attest", json.dumps(body).encode())


@_FUZZ
@given(st.binary(max_size=300))
def test_any_quote_gets_a_clean_answer(shared: World, quote: bytes) -> None:
    nonce = fresh_nonce(shared)
    body = attestation(runtime(nonce), shared.td().quote(bytes(64)))
    body["tee-evidence"]["primary_evidence"]["quote"] = b64e(quote)
    _answers(shared, "POST", "/kbs/v0/attest", json.dumps(body).encode())


@_FUZZ
@given(_JSON)
def test_owner_routes_survive_any_json(shared: World, value: Any) -> None:
    body = json.dumps(value).encode()
    for method, path in (
        ("POST", "/ppml/v1/keys/k/wrap"),
        ("POST", "/ppml/v1/keys/k/unwrap"),
        ("POST", "/ppml/v1/keys/k/destroy"),
        ("POST", "/ppml/v1/owners"),
        ("PUT", "/ppml/v1/policies/sim-x"),
        ("PUT", "/ppml/v1/resources/a/b/c"),
    ):
        _answers(shared, method, path, body, token=True)


@_FUZZ
@given(st.text(max_size=40))
def test_any_names_in_paths_get_a_clean_answer(shared: World, name: str) -> None:
    for path in (f"keys/{quote(name, '')}", f"policies/{quote(name, '')}", f"releases/{quote(name, '')}"):
        _answers(shared, "GET", f"/ppml/v1/{path}", b"", token=True)
    _answers(shared, "POST", f"/ppml/v1/tickets/{quote(name, '')}/revoke", b"", token=True)
    _answers(shared, "POST", f"/ppml/v1/keys/{quote(name, '')}/wrap", b"{}", token=True)


def fresh_nonce(world: World) -> str:
    world.clock.now += 301  # earlier sessions expire
    return str(world.auth(None).json()["nonce"])


def test_deeply_nested_json_is_no_crash(world: World) -> None:
    for depth in (1_000, 100_000):
        _answers(world, "POST", "/kbs/v0/auth", b"[" * depth)
        _answers(
            world, "POST", "/kbs/v0/auth", b'{"version":"0.4.0","tee":"tdx","extra-params":' + b"[" * depth
        )

"""The whole way of a release over the application, and everything that must stop it."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey
from starlette.testclient import TestClient

from ppml_ops.attestation.evidence import NoTeeProvider
from ppml_ops.attestation.measure import Event, replay
from ppml_ops.broker import grants, jwe
from ppml_ops.broker.app import create_app
from ppml_ops.broker.jose import public_jwk, sign_compact
from ppml_ops.broker.rcar import kbs_v0_4 as kbs
from ppml_ops.broker.rcar.client import attestation, ephemeral
from ppml_ops.keys import KeyRef, new_data_key
from ppml_ops.keys.local import LocalKeyService
from ppml_ops.keys.wrapping import wrap_data_key

from .builders import (
    JOB,
    JTI,
    NO_TEE,
    NOW,
    REGISTERS,
    TOKEN,
    EnclaveProvider,
    Platform,
    TdProvider,
    World,
    policy_yaml,
    read_binding,
    write_binding,
)


def test_attested_release_gives_the_data_key(world: World) -> None:
    bundle = world.release()
    (dataset,) = bundle.datasets
    assert dataset.key_bytes == world.data_key
    assert (dataset.dataset, dataset.mode, dataset.version) == ("sim-people", "read", 1)
    assert dataset.manifest_digest == "cd" * 32
    assert bundle.simulated
    assert bundle.trust_domain == world.domain.id
    (record,) = world.http.get(f"/ppml/v1/releases/{JTI}").json()
    assert record["digest"] == bundle.release


def test_every_data_set_of_the_ticket_is_in_the_bundle(world: World) -> None:
    world.state.policies.put("sim-result", policy_yaml("sim-result"))
    result_key = new_data_key()
    ticket = world.ticket(
        datasets=[
            read_binding("sim-people", [world.wrap()]),
            write_binding("sim-result", world.domain.id, [world.wrap("sim-result", result_key)]),
        ]
    )
    read, write = world.release(ticket).datasets
    assert read.key_bytes == world.data_key
    assert write.key_bytes == result_key
    assert write.manifest_digest is None
    assert write.manifest is not None
    assert write.manifest["dataset"] == "sim-result"


def test_one_data_set_without_policy_denies_all(world: World) -> None:
    ticket = world.ticket(
        datasets=[
            read_binding("sim-people", [world.wrap()]),
            read_binding("sim-other", [world.wrap("sim-other")]),
        ]
    )
    detail = world.refusal(ticket)
    assert "sim-other policy: policy is nothing" in detail
    assert "add policies/sim-other.yaml" in detail
    assert not world.events("release")


def test_another_session_cannot_fetch_this_tickets_bundle(world: World) -> None:
    other = world.ticket(jti="f" * 32)
    world.handshake(other)
    assert world.fetch().status_code == 401
    world.handshake(None)
    assert "not opened with that job ticket" in world.fetch().json()["detail"]


def test_unattested_session_gets_nothing(world: World) -> None:
    world.auth(world.ticket())
    assert world.fetch().status_code == 401
    world.http.cookies.clear()
    assert world.fetch().json()["type"].endswith("TokenNotFound")


class TestTicket:
    def test_stale(self, world: World) -> None:
        assert "expired" in world.refusal(world.ticket(exp=NOW - 61, nbf=NOW - 100))

    def test_not_yet_valid(self, world: World) -> None:
        assert "begins at" in world.refusal(world.ticket(nbf=NOW + 61))

    def test_signed_by_a_stranger(self, world: World) -> None:
        stranger = OKPKey.generate_key("Ed25519")
        assert "does not know" in world.refusal(world.ticket(owner=stranger))

    def test_for_another_trust_domain(self, world: World) -> None:
        ticket = world.ticket(aud="0" * 64)
        assert "trust domain 0000" in world.refusal(ticket)

    @pytest.mark.parametrize("alg", ["none", "HS256", "ES256"])
    def test_unsigned_or_by_another_algorithm(self, world: World, alg: str) -> None:
        header, payload, signature = world.ticket().split(".")
        kid = json.loads(jwe.unb64url(header))["kid"]
        forged = jwe.b64url(json.dumps({"alg": alg, "typ": "ppml-job-ticket+jwt", "kid": kid}).encode())
        assert "ticket" in world.refusal(f"{forged}.{payload}.{signature}")
        assert "ticket" in world.refusal(f"{forged}.{payload}.")

    def test_of_another_type(self, world: World) -> None:
        payload = jwe.unb64url(world.ticket().split(".")[1])
        assert "not of type" in world.refusal(sign_compact(payload, world.owner, "keybundle+jws"))

    def test_changed_payload(self, world: World) -> None:
        header, payload, signature = world.ticket().split(".")
        claims = json.loads(jwe.unb64url(payload)) | {"max_activations": 9999}
        changed = jwe.b64url(json.dumps(claims).encode())
        assert "signature" in world.refusal(f"{header}.{changed}.{signature}")

    def test_issuer_is_not_the_signer(self, world: World) -> None:
        other = OKPKey.generate_key("Ed25519")
        world.state.owners.register(public_jwk(other))
        payload = json.loads(jwe.unb64url(world.ticket().split(".")[1])) | {"iss": other.thumbprint()}
        forged = sign_compact(json.dumps(payload).encode(), world.owner, "ppml-job-ticket+jwt")
        assert "another issuer" in world.refusal(forged)

    def test_revoked_before_the_challenge(self, world: World) -> None:
        assert world.owner_call("POST", f"/tickets/{JTI}/revoke").status_code == 200
        assert "was revoked" in world.refusal()

    def test_revoked_between_attestation_and_fetch(self, world: World) -> None:
        world.handshake(world.ticket())
        world.owner_call("POST", f"/tickets/{JTI}/revoke")
        reply = world.fetch()
        assert reply.status_code == 401
        assert "was revoked" in reply.json()["detail"]

    def test_revocation_survives_a_restart(self, world: World) -> None:
        world.owner_call("POST", f"/tickets/{JTI}/revoke")
        world.open()
        assert "was revoked" in world.refusal()

    def test_wraps_of_another_data_set_do_not_open(self, world: World) -> None:
        moved = read_binding("sim-people", [world.wrap("sim-other")])
        assert "does not open" in world.refusal(world.ticket(datasets=[moved]))
        assert not world.events("release")

    def test_unknown_members_are_refused(self, world: World) -> None:
        payload = json.loads(jwe.unb64url(world.ticket().split(".")[1])) | {"debug": True}
        forged = sign_compact(json.dumps(payload).encode(), world.owner, "ppml-job-ticket+jwt")
        assert "malformed: debug" in world.refusal(forged)


class TestEvidence:
    def test_wrong_measurement_names_claim_got_and_wanted(self, world: World) -> None:
        other = world.td(
            registers={"mr_td": "09" * 48, "rtmr0": "02" * 48, "rtmr1": "03" * 48, "rtmr2": "04" * 48}
        )
        detail = world.refusal(provider=other)
        assert f"mr_td is {'09' * 48}, wanted one of {'01' * 48}" in detail

    def test_changed_job(self, world: World) -> None:
        detail = world.refusal(provider=world.td(job="cc" * 48))
        assert f"ticket: job_digest is {'cc' * 48}, wanted {JOB}" in detail

    def test_changed_job_is_denied_even_when_the_policy_pins_rtmr3(self, world: World) -> None:
        changed = "cc" * 48
        events = [Event(imr=3, event="x", digest=digest) for digest in ("aa" * 48, changed)]
        measurements = {
            name: [f"0{number}" * 48] for number, name in enumerate(("mr_td", "rtmr0", "rtmr1", "rtmr2"), 1)
        }
        measurements["rtmr3"] = [replay(events, 3).hex()]
        world.state.policies.put("sim-people", policy_yaml("sim-people", measurements=measurements))
        assert "ticket: job_digest" in world.refusal(provider=world.td(job=changed))

    def test_other_purpose(self, world: World) -> None:
        assert "ticket.purpose is gwas" in world.refusal(world.ticket(purpose="gwas"))

    def test_platform_of_another_root(self, world: World) -> None:
        stranger = Platform(b"\x01" * 32)
        assert "evidence refused" in world.refusal(provider=TdProvider(stranger.pki))

    def test_quote_for_another_challenge(self, world: World) -> None:
        world.auth(world.ticket())
        reply, _ = world.attest("AAAA", world.td())
        assert reply.json()["type"].endswith("NonceMismatch")

    def test_wrong_nonce_uses_the_session_up(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        world.attest("AAAA", world.td())
        reply, _ = world.attest(nonce, world.td())
        assert reply.json()["type"].endswith("SessionUsed")

    def test_second_attestation_in_a_session(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        assert world.attest(nonce, world.td())[0].status_code == 200
        assert world.attest(nonce, world.td())[0].status_code == 401

    def test_nonce_of_one_session_in_another(self, world: World) -> None:
        first = world.auth(world.ticket()).json()["nonce"]
        world.auth(world.ticket())
        assert world.attest(first, world.td())[0].status_code == 401

    def test_expired_session(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        world.clock.now += 301
        assert world.attest(nonce, world.td())[0].json()["type"].endswith("SessionExpired")

    def test_init_data_is_refused(self, world: World) -> None:
        nonce = world.auth(world.ticket()).json()["nonce"]
        reply, _ = world.attest(nonce, world.td(), {"init-data": {"format": "toml", "body": "x"}})
        assert "init-data" in reply.json()["detail"]

    def test_refused_evidence_is_on_record(self, world: World) -> None:
        world.refusal(provider=TdProvider(Platform(b"\x01" * 32).pki))
        (record,) = world.events("appraisal")
        assert record["decision"] == "refused"
        assert (world.folder / "evidence" / record["quote"]).exists()

    def test_sgx_enclave_that_the_policy_names(self, world: World) -> None:
        sgx = {"mr_enclave": ["05" * 32]}
        rule = {"tee": ["sgx"], "measurements": None, "sgx": sgx}
        world.state.policies.put("sim-people", policy_yaml("sim-people", **rule))
        bundle = world.release(provider=EnclaveProvider(world.platform.pki), tee="sgx")
        assert bundle.datasets[0].key_bytes == world.data_key


class TestNoTee:
    def test_denied_unless_the_policy_names_it(self, world: World) -> None:
        assert "tee is none (UNATTESTED), wanted one of tdx" in world.refusal(
            provider=NoTeeProvider(), tee="none"
        )

    def test_released_when_it_does_and_recorded_as_unattested(self, world: World) -> None:
        world.state.policies.put("sim-people", policy_yaml("sim-people", **NO_TEE))
        assert world.release(provider=NoTeeProvider(), tee="none").datasets[0].key_bytes == world.data_key
        (record,) = world.events("release")
        assert record["attested"] is False


class TestActivations:
    def test_enforced_and_counted_across_restarts(self, world: World) -> None:
        ticket = world.ticket(max_activations=2)
        world.release(ticket)
        world.open()
        world.release(ticket)
        assert "activations_used is 2, wanted fewer than 2" in world.refusal(ticket)
        world.open()
        assert "activations_used is 2" in world.refusal(ticket)

    def test_eight_threads_racing_for_three(self, world: World) -> None:
        ticket = world.ticket(max_activations=3)
        clients = []
        for _ in range(8):
            app = world.http.app
            racer = TestClient(app, base_url="https://broker", raise_server_exceptions=False)
            nonce = racer.post(
                "/kbs/v0/auth",
                json={"version": "0.4.0", "tee": "tdx", "extra-params": {"job-ticket": ticket}},
            ).json()["nonce"]
            _, runtime = ephemeral(nonce)
            body = attestation(runtime, world.td().quote(kbs.report_data(runtime)))
            assert racer.post("/kbs/v0/attest", json=body).status_code == 200
            clients.append(racer)
        barrier = threading.Barrier(8)
        statuses: list[int] = []

        def race(racer: TestClient) -> None:
            barrier.wait()
            statuses.append(racer.get(f"/kbs/v0/resource/ppml/keybundle/{JTI}").status_code)

        threads = [threading.Thread(target=race, args=(racer,)) for racer in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200] * 3 + [401] * 5
        assert [record["activation"] for record in world.events("release")] == [1, 2, 3]

    def test_release_is_on_disk_before_the_reply(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """What fails after the record still counts: the broker dies between record and reply here."""
        ticket = world.ticket(max_activations=1)
        world.handshake(ticket)

        def dies(*_: Any) -> dict[str, str]:
            assert len(world.events("release")) == 1
            raise SystemError("killed")

        monkeypatch.setattr(grants.jwe, "encrypt", dies)
        assert world.fetch().status_code == 500
        monkeypatch.undo()
        world.open()
        assert "activations_used is 1" in world.refusal(ticket)

    def test_nothing_is_released_when_the_record_cannot_be_stored(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.handshake(world.ticket())

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("ppml_ops.broker.audit.os.fsync", full)
        reply = world.fetch()
        assert reply.status_code == 503
        assert "No space left" in reply.json()["detail"]
        monkeypatch.undo()
        assert world.fetch().status_code == 503, "the log is not written again before a restart verified it"


class TestKeysOfTickets:
    def test_rotated_key_still_opens_old_wraps(self, world: World) -> None:
        ticket = world.ticket()
        world.state.keystore.rotate(world.people)
        assert world.release(ticket).datasets[0].key_bytes == world.data_key

    def test_destroyed_version_is_denied(self, world: World) -> None:
        ticket = world.ticket()
        world.state.keystore.destroy(world.people)
        assert "was destroyed" in world.refusal(ticket)

    def test_second_wrap_serves_when_the_first_is_of_another_broker(self, world: World) -> None:
        foreign = wrap_data_key(
            bytes(32), KeyRef.parse("broker:people?version=1"), world.data_key, "sim-people"
        )
        ticket = world.ticket(datasets=[read_binding("sim-people", [foreign, world.wrap()])])
        assert world.release(ticket).datasets[0].key_bytes == world.data_key

    def test_local_wraps_only_when_configured(self, tmp_path: Path) -> None:
        folder = tmp_path / "keys"
        local = LocalKeyService(folder)
        ref = local.create(KeyRef.parse("local:people"))
        closed = World(tmp_path / "closed")
        wrap = local.wrap(ref, closed.data_key, "sim-people")
        detail = closed.refusal(closed.ticket(datasets=[read_binding("sim-people", [wrap])]))
        assert "no wrapped key of data set sim-people is for this broker; it has keys of: local" in detail
        opened = World(tmp_path / "open", local_keys=folder)
        ticket = opened.ticket(datasets=[read_binding("sim-people", [wrap])])
        assert opened.release(ticket).datasets[0].key_bytes == closed.data_key


class TestPlainResources:
    def put(self, world: World, **changes: Any) -> None:
        body = {"value": "c2VjcmV0", "policy": None, "sample": False} | changes
        assert world.owner_call("PUT", "/resources/default/key/one", body).status_code == 200

    def test_released_without_ticket_when_the_policy_needs_none(self, world: World) -> None:
        measurements = {name: [value] for name, value in REGISTERS.items()}
        events = [Event(imr=3, event="x", digest=digest) for digest in ("aa" * 48, JOB)]
        measurements["rtmr3"] = [replay(events, 3).hex()]
        rule = {"ticket": {"required": False}, "measurements": measurements}
        world.state.policies.put("plain", policy_yaml("plain", **rule))
        self.put(world, policy="plain")
        private = world.handshake(None)
        assert jwe.decrypt(world.fetch("default/key/one").json(), private) == b"secret"
        assert world.events("resource-release")[0]["resource"] == "default/key/one"

    def test_denied_when_the_policy_wants_a_ticket(self, world: World) -> None:
        self.put(world, policy="sim-people")
        world.handshake(None)
        assert "wanted a job ticket" in world.fetch("default/key/one").json()["detail"]

    def test_denied_without_policy(self, world: World) -> None:
        self.put(world)
        world.handshake(None)
        assert world.fetch("default/key/one").status_code == 401

    def test_unknown_resource(self, world: World) -> None:
        world.handshake(None)
        reply = world.fetch("default/key/two")
        assert reply.status_code == 404
        assert reply.json()["type"].endswith("PluginNotFound")

    def test_owner_cannot_take_the_brokers_own_repository(self, world: World) -> None:
        body = {"value": "c2VjcmV0", "policy": None, "sample": False}
        assert world.owner_call("PUT", "/resources/ppml/keybundle/x", body).status_code == 404


class TestDryRun:
    def ask(self, world: World, provider: Any, **changes: Any) -> Any:
        _, runtime = ephemeral("AAAA")
        body = attestation(runtime, provider.quote(kbs.report_data(runtime)))
        return world.http.post(
            "/ppml/v1/appraise", json=body | {"tee": "tdx", "ticket": world.ticket()} | changes
        )

    def test_tells_the_verdict_and_leaves_no_trace(self, world: World) -> None:
        before = (world.folder / "audit.jsonl").read_bytes()
        reply = self.ask(world, world.td()).json()
        assert reply["allow"] is True
        assert reply["verdicts"][0]["dataset"] == "sim-people"
        assert world.data_key.hex() not in json.dumps(reply)
        assert (world.folder / "audit.jsonl").read_bytes() == before

    def test_tells_reasons(self, world: World) -> None:
        reply = self.ask(world, world.td(job="cc" * 48)).json()
        assert reply["allow"] is False
        assert any("job_digest" in reason for reason in reply["reasons"])

    def test_needs_a_ticket_of_a_registered_owner(self, world: World) -> None:
        stranger = world.ticket(owner=OKPKey.generate_key("Ed25519"))
        reply = self.ask(world, world.td(), ticket=stranger)
        assert reply.status_code == 403
        assert reply.json()["error"] == "DeniedError"

    def test_is_rate_limited(self, world: World) -> None:
        statuses = [world.http.post("/ppml/v1/appraise", content=b"{}").status_code for _ in range(25)]
        assert statuses[0] == 400
        assert 503 in statuses


def test_the_app_needs_no_network(world: World) -> None:
    """The application is built from stores and functions alone."""
    app = create_app(world.state, find_collateral=world.platform.collateral, token=TOKEN, clock=world.clock)
    assert TestClient(app, base_url="https://x").get("/ppml/v1/info").json()["simulated"] is True

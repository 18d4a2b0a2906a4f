"""What a broker keeps: bound to one trust domain, private, and only under its own root."""

import shutil
from pathlib import Path

import pytest

from ppml_ops.broker.audit import verify_audit
from ppml_ops.broker.jose import public_key
from ppml_ops.broker.resources import Resource, ResourceStore
from ppml_ops.broker.state import BrokerState
from ppml_ops.errors import ConfigError, IntegrityError

from .builders import JTI, Platform, World, policy_yaml


def test_another_root_is_refused(world: World) -> None:
    world.state.audit.close()
    with pytest.raises(ConfigError, match="created for trust domain"):
        BrokerState.open(world.folder, Platform(b"\x01" * 32).domain, world.clock)


def test_keystore_copied_under_another_root_does_not_open(world: World, tmp_path: Path) -> None:
    wrapped = world.wrap()
    other = BrokerState.open(tmp_path / "other", Platform(b"\x01" * 32).domain, world.clock)
    shutil.rmtree(tmp_path / "other" / "keystore")
    shutil.copytree(world.folder / "keystore", tmp_path / "other" / "keystore")
    other = BrokerState.open(tmp_path / "other", Platform(b"\x01" * 32).domain, world.clock)
    with pytest.raises(IntegrityError, match="another store or trust domain"):
        other.keystore.unwrap(wrapped, "sim-people")


def test_a_missing_audit_log_is_not_replaced_by_an_empty_one(world: World) -> None:
    world.state.audit.close()
    (world.folder / "audit.jsonl").unlink()
    with pytest.raises(IntegrityError, match="is gone"):
        world.open()


def test_everything_is_private(world: World) -> None:
    world.release()
    for path in [world.folder, *world.folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_loose_folder_is_refused(world: World) -> None:
    world.folder.chmod(0o750)
    with pytest.raises(ConfigError, match="0750"):
        world.open()


class TestOwnerApi:
    @pytest.mark.parametrize("token", ["", "wrong", "owner-token-of-the-test", "é"])
    def test_needs_the_token(self, world: World, token: str) -> None:
        reply = world.http.get("/ppml/v1/keys", headers={"Authorization": f"Bearer {token}".encode()})
        assert reply.status_code == 403
        assert reply.json()["error"] == "DeniedError"
        assert world.http.get("/ppml/v1/keys").status_code == 403

    def test_policies(self, world: World) -> None:
        text = policy_yaml("sim-other")
        digest = world.owner_call("PUT", "/policies/sim-other", {"policy": text}).json()["policy_digest"]
        assert world.owner_call("GET", "/policies/sim-other").json() == {"policy": text}
        assert world.owner_call("GET", "/policies").json() == ["sim-other", "sim-people"]
        (record,) = world.events("policy-changed")
        assert record["policy_digest"] == digest
        assert (world.folder / "evidence" / record["document"]).read_text() == text

    @pytest.mark.parametrize("text", ["", "[", "dataset: sim-people", "dataset: other\nrelease: [{}]"])
    def test_a_bad_policy_leaves_the_old_one(self, world: World, text: str) -> None:
        before = world.state.policies.text("sim-people")
        if text != "dataset: sim-people":
            assert world.owner_call("PUT", "/policies/sim-people", {"policy": text}).status_code == 404
            assert world.state.policies.text("sim-people") == before
        else:
            assert world.owner_call("PUT", "/policies/sim-people", {"policy": text}).status_code == 200
            assert "release is no rule" in world.refusal()

    def test_private_owner_keys_are_refused(self, world: World) -> None:
        jwk = world.owner.as_dict(private=True)
        assert world.owner_call("POST", "/owners", jwk).status_code == 400

    def test_changes_of_keys_are_on_record(self, world: World) -> None:
        world.owner_call("POST", "/keys/fresh")
        world.owner_call("POST", "/keys/fresh")
        world.owner_call("POST", "/keys/fresh/rotate")
        world.owner_call("POST", "/keys/fresh/destroy", {"version": 1})
        assert [one["key"] for one in world.events("key-created")] == ["broker:fresh?version=1"]
        assert [one["key"] for one in world.events("key-rotated")] == ["broker:fresh?version=2"]
        assert [one["key"] for one in world.events("key-destroyed")] == ["broker:fresh?version=1"]


class TestRecords:
    def test_hold_what_an_auditor_needs(self, world: World) -> None:
        """Recompute the nonce's ticket, find evidence and collateral, and link release to appraisal."""
        world.release()
        (appraisal,), (release,) = world.events("appraisal"), world.events("release")
        for name in ("quote", "event_log", "collateral", "ticket_digest", "claims_digest"):
            assert len(world.state.archive.get(appraisal[name])) > 0
        assert len(release["recipient"]) == 43
        assert release["datasets"][0]["key"] == "broker:people?version=1"
        assert release["policies"]["sim-people"] == world.state.policies.get("sim-people").digest
        assert release["activation"] == 1
        key = public_key(world.http.get("/ppml/v1/info").json()["broker_key"]).raw_value
        records = {record.digest: record for record in verify_audit(world.folder / "audit.jsonl", key)}
        assert records[release["appraisal"]].body.get("nonce") == appraisal["nonce"]

    def test_a_past_decision_can_be_replayed(self, world: World) -> None:
        """Appraise the archived evidence again at its recorded time: the same claims come out."""
        from ppml_ops.attestation.appraise import appraise
        from ppml_ops.attestation.claims import Claims
        from ppml_ops.attestation.collateral import Collateral
        from ppml_ops.attestation.evidence import Evidence
        from ppml_ops.broker.rcar import kbs_v0_4 as kbs

        world.release()
        (record,) = world.events("appraisal")
        get = world.state.archive.get
        runtime = kbs.RuntimeData(
            nonce=record["nonce"], tee_pubkey=kbs.TeePublicKey.model_validate(record["tee_pubkey"])
        )
        claims = appraise(
            Evidence("tdx", get(record["quote"]), get(record["event_log"])),
            Collateral.from_json(get(record["collateral"])),
            report_data=kbs.report_data(runtime),
            now=record["at"],
            domain=world.domain,
        )
        assert claims == Claims.model_validate_json(get(record["claims_digest"]))

    def test_denials_hold_their_reasons(self, world: World) -> None:
        world.refusal(provider=world.td(job="cc" * 48))
        (record,) = world.events("denial")
        assert record["ticket"] == JTI
        assert "job_digest" in record["reasons"][0]

    def test_changed_evidence_is_found(self, world: World) -> None:
        world.release()
        (record,) = world.events("appraisal")
        (world.folder / "evidence" / record["quote"]).write_bytes(b"other")
        with pytest.raises(IntegrityError):
            world.state.archive.get(record["quote"])


class TestResourceStore:
    def test_changed_or_moved_files_do_not_open(self, tmp_path: Path) -> None:
        store = ResourceStore(tmp_path / "r", bytes(32))
        store.put("a/b/c", Resource(value="c2VjcmV0"))
        assert b"c2VjcmV0" not in (tmp_path / "r" / "a.b.c.json").read_bytes()
        (tmp_path / "r" / "a.b.d.json").write_bytes((tmp_path / "r" / "a.b.c.json").read_bytes())
        with pytest.raises(IntegrityError):
            store.get("a/b/d")
        with pytest.raises(IntegrityError):
            ResourceStore(tmp_path / "r", b"\x01" * 32).get("a/b/c")

    @pytest.mark.parametrize("path", ["a/b", "a/b/c/d", "../b/c", "a/./c", "ppml/x/y", "a/b/c\n", ""])
    def test_paths(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(ConfigError):
            ResourceStore(tmp_path / "r", bytes(32)).get(path)


def test_unknown_keys_name_the_next_step(world: World) -> None:
    reply = world.owner_call("GET", "/keys/nothing")
    assert reply.status_code == 404
    assert reply.json()["next_step"].startswith("ppml-ops keys create broker:nothing")


def test_key_names_cannot_leave_the_keystore(world: World) -> None:
    """Names that look like paths or like the broker's own files."""
    for name in ("..", "%2e%2e", "..%2Fx", "master.key", ".master.key"):
        assert world.owner_call("POST", f"/keys/{name}").status_code in (200, 400, 404, 307, 405)
    assert len((world.folder / "keystore" / ".master.key").read_bytes()) == 32
    assert world.release().datasets[0].key_bytes == world.data_key

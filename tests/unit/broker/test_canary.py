"""No secret in any log line, error, audit record or archived document."""

import logging
from typing import Any

import pytest

from ppml_ops.broker.bundle import BundleDataset, KeyBundle
from ppml_ops.broker.jose import sign_compact
from ppml_ops.canonical import b64e
from ppml_ops.errors import IntegrityError

from .builders import TOKEN, World, policy_yaml, read_binding

CANARY = b"CANARY-CANARY-CANARY-CANARY-1234"
FORMS = (CANARY, CANARY.hex().encode(), b64e(CANARY).encode(), TOKEN.encode())


def test_no_secret_leaves_by_another_way(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.data_key = CANARY
    answers: list[bytes] = []

    def owner(method: str, path: str, body: Any = None, token: str = TOKEN) -> Any:
        reply = world.owner_call(method, path, body, token)
        answers.append(reply.content)
        return reply

    world.release()
    for provider in (world.td(job="cc" * 48), world.td()):
        world.auth(world.ticket())
        world.attest("AAAA", provider)
    world.refusal(world.ticket(datasets=[read_binding("sim-people", [world.wrap("sim-other")])]))
    bad = [
        {"version": 1, "data_key": b64e(CANARY) + "!", "context": "sim-people"},
        {"version": 2, "data_key": b64e(CANARY), "context": "sim-people"},
        {"version": 1, "data_key": b64e(CANARY), "context": CANARY.decode()[:3]},
        {"version": "1", "data_key": b64e(CANARY), "context": "sim-people"},
        {"data_key": b64e(CANARY), "context": "sim-people", CANARY.decode().lower()[:4]: 1},
    ]
    for body in bad:
        assert owner("POST", "/keys/people/wrap", body).status_code >= 400
    owner("PUT", "/resources/a/b/c", {"value": b64e(CANARY), "policy": "plain", "sample": False})
    owner("PUT", "/resources/a/b/c", {"value": b64e(CANARY) + "!", "policy": "plain", "sample": False})
    owner("PUT", "/policies/sim-x", {"policy": policy_yaml("sim-x")})
    owner("GET", "/keys", token=TOKEN + "x")
    texts = [caplog.text.encode(), *answers]
    texts += [path.read_bytes() for path in world.folder.rglob("*") if path.is_file()]
    for form in FORMS:
        assert not [text for text in texts if form in text]


def test_bundles_hide_their_keys_in_representations() -> None:
    dataset = BundleDataset(
        dataset="sim-people", mode="read", key=b64e(CANARY), version=1, manifest_digest="0" * 64, manifest=None
    )
    bundle = KeyBundle(
        ticket="0" * 32, trust_domain="0" * 64, simulated=True, datasets=[dataset], release="0" * 64
    )
    assert b64e(CANARY) not in repr(bundle) + str(bundle)
    assert dataset.key_bytes == CANARY


def test_a_bundle_that_does_not_parse_is_not_quoted(world: World) -> None:
    payload = f'{{"ticket":"x","datasets":[{{"key":"{b64e(CANARY)}"}}]}}'.encode()
    text = sign_compact(payload, world.state.signing, "keybundle+jws").encode()
    with pytest.raises(IntegrityError) as caught:
        KeyBundle.verify(text, world.state.signing)
    assert b64e(CANARY) not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_texts_of_unforeseen_errors_go_nowhere(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError(f"unforeseen: {CANARY!r}")

    monkeypatch.setattr("ppml_ops.broker.http_owner.KeyRef.parse", fails)
    reply = world.owner_call("POST", "/keys/people/wrap", {"data_key": b64e(CANARY), "context": "sim-people"})
    assert reply.status_code == 500
    assert "RuntimeError" in reply.json()["what"]
    assert "bug: RuntimeError at" in caplog.text
    assert b"CANARY" not in reply.content + caplog.text.encode()

"""Whoever changes measurement, code, ticket or policy gets no key, no result, and a reason to read.

Each case is tried twice: at `attest`, the pre-check, and at `submit` with a forged record of a good verdict,
where the job attests for itself.
"""

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppml_ops.broker.tickets import TicketClaims, owner_key, sign_ticket
from ppml_ops.errors import ConfigError, DeniedError, IntegrityError, PpmlError
from ppml_ops.keys.model import KeyRef
from ppml_ops.keys.service import key_service_for
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.tickets import current_ticket, read_ticket
from ppml_ops.workloads import path_of
from tests.support.life_cycle import LifeCycle

pytestmark = [pytest.mark.e2e, pytest.mark.java]

Tamper = Callable[[LifeCycle], None]


def _sign_anew(life: LifeCycle, **changes: Any) -> None:
    """Put another ticket of the owner's in the place of the current one, under its name."""
    claims = read_ticket(life.run, current_ticket(life.run)).model_dump(mode="json") | changes
    key = owner_key(life.run.home / "owner" / "ticket-signing.jwk")
    life.ticket.write_text(sign_ticket(TicketClaims.model_validate_json(json.dumps(claims)), key))


def _change_rule(change: Callable[[dict[str, Any]], None]) -> Tamper:
    """Change the release rule of the input's policy at the broker."""

    def tamper(life: LifeCycle) -> None:
        broker = broker_client(life.run.home, owner=True)
        policy = yaml.safe_load(broker.get_policy(life.people))
        change(policy["release"][0])
        broker.put_policy(life.people, yaml.safe_dump(policy))

    return tamper


def _no_rule(life: LifeCycle) -> None:
    broker_client(life.run.home, owner=True).put_policy(life.people, f"dataset: {life.people}\nrelease: []\n")


def _other_code(life: LifeCycle) -> None:
    with life.application.open("a") as file:
        file.write("\n# one comment more\n")


def _other_job(life: LifeCycle) -> None:
    text = life.run.job_file.read_text()
    changed = text.replace('"--max-age","40"', '"--max-age","99"')
    assert changed != text
    life.run.job_file.write_text(changed)


def _expired(life: LifeCycle) -> None:
    now = int(time.time())
    _sign_anew(life, iat=now - 7200, nbf=now - 7200, exp=now - 3600)


def _revoked(life: LifeCycle) -> None:
    broker_client(life.run.home, owner=True).revoke_ticket(current_ticket(life.run))


def _of_another_data_set(life: LifeCycle) -> None:
    """The owner signed this very job, but for a data set without a policy."""
    claims = read_ticket(life.run, current_ticket(life.run)).model_dump(mode="json")
    _sign_anew(life, datasets=[claims["datasets"][0] | {"dataset": "sim-other"}, claims["datasets"][1]])


def _of_another_job(life: LifeCycle) -> None:
    """A good ticket of the owner's, for another job over another data set."""
    other = LifeCycle(life.run.home, life.run.day, name="other", people="sim-other-people").to("issue_ticket")
    shutil.copy(other.ticket, life.ticket)


def _signed_by_another(life: LifeCycle) -> None:
    key = owner_key(life.run.folder / "stranger.jwk")
    claims = read_ticket(life.run, current_ticket(life.run)).model_dump(mode="json")
    claims["iss"] = key.thumbprint()
    life.ticket.write_text(sign_ticket(TicketClaims.model_validate_json(json.dumps(claims)), key))


def _changed_ticket(life: LifeCycle) -> None:
    header, payload, signature = life.ticket.read_text().split(".")
    life.ticket.write_text(f"{header}.{payload[:-6]}AAAAAA.{signature}")


CASES: dict[str, tuple[Tamper, type[PpmlError], str]] = {
    "other TD image": (
        _change_rule(lambda rule: rule["measurements"].update(mr_td=["ab" * 48])), DeniedError, r"mr_td .*abab",
    ),
    "other kernel": (
        _change_rule(lambda rule: rule["measurements"].update(rtmr1=["ab" * 48])), DeniedError, r"rtmr1",
    ),
    "other runner": (
        _change_rule(lambda rule: rule["measurements"].update(runner=["cd" * 48])), DeniedError, r"runner",
    ),
    "real hardware wanted": (_change_rule(lambda rule: rule.pop("simulated")), DeniedError, "simulated"),
    "another purpose": (_change_rule(lambda rule: rule.update(purpose=["billing"])), DeniedError, "purpose"),
    "no rule": (_no_rule, DeniedError, "sim-people"),
    "changed code": (_other_code, DeniedError, "job_digest|not what the ticket was signed for"),
    "changed job": (_other_job, DeniedError, "job_digest|not what the ticket was signed for"),
    "no ticket": (lambda life: life.ticket.unlink(), IntegrityError, "ticket .* missing"),
    "garbage for a ticket": (
        lambda life: life.ticket.write_bytes(b"\xff\x00 no ticket"), IntegrityError, "ticket .* damaged",
    ),
    "changed ticket": (_changed_ticket, (DeniedError, IntegrityError), "ticket"),
    "expired ticket": (_expired, DeniedError, "expired"),
    "revoked ticket": (_revoked, DeniedError, "revoked"),
    "ticket for another data set": (_of_another_data_set, DeniedError, "sim-other"),
    "ticket of another job": (_of_another_job, DeniedError, "job_digest|not what the ticket was signed for"),
    "ticket of a stranger": (_signed_by_another, DeniedError, "does not know"),
}  # type: ignore[dict-item]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_key_and_no_result(home: Path, day: date, tmp_path: Path, case: str) -> None:
    tamper, kind, words = CASES[case]
    application = tmp_path / "simple_query.py"
    shutil.copy(path_of("simple_query.py"), application)
    life = LifeCycle(home, day, name=case, application=application).to("distribute")
    tamper(life)
    with pytest.raises(kind) as caught:
        life.to("attest")
    _readable(caught.value, words)
    _forge_verdict(life)
    with pytest.raises(kind) as caught:
        life.stage("submit")
    _readable(caught.value, words)
    receipt = life.tear_down()
    assert not receipt.proven
    assert any(re.search(words, problem) for problem in receipt.problems), receipt.problems
    assert life.traces() == []


def test_no_tee_is_denied_until_the_policy_names_it(home: Path, day: date) -> None:
    """Choosing the profile must not be enough, also not for a data set that has no policy yet."""
    names = {"people": "sim-no-tee", "result": "sim-no-tee-result"}
    life = LifeCycle(home, day, profile="local-no-tee", **names).to("distribute")
    with pytest.raises(DeniedError) as caught:
        life.to("attest")
    _readable(caught.value, "tee is none .*wanted one of tdx")
    _forge_verdict(life)
    with pytest.raises(DeniedError) as caught:
        life.stage("submit")
    _readable(caught.value, "tee is none .*wanted one of tdx")
    assert not life.tear_down().proven
    assert life.traces() == []


def _destroy(home: Path, ref: KeyRef) -> None:
    key_service_for("broker:", home=home).destroy(ref.with_version(1))


def _replace(home: Path, ref: KeyRef) -> None:
    """The stored key of another data set under this one's name, as whoever can write the store would."""
    key_service_for("broker:", home=home).create(KeyRef.parse("broker:stranger"))
    store = home / "broker" / "keystore"
    stored = json.loads((store / "stranger" / "1.json").read_bytes()) | {"name": ref.name}
    (store / ref.name / "1.json").write_bytes(
        json.dumps(stored, sort_keys=True, separators=(",", ":")).encode()
    )


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [(_destroy, DeniedError, "destroyed"), (_replace, IntegrityError, "primary key sim-wrong-key-")],
)
def test_a_primary_key_that_is_not_the_one_opens_nothing(
    home: Path, day: date, change: Callable[[Path, KeyRef], None], kind: type[PpmlError], words: str
) -> None:
    name = f"sim-wrong-key-{uuid.uuid4().hex[:8]}"
    life = LifeCycle(home, day, people=name, result=f"{name}-result").to("attest")
    change(home, KeyRef.parse(f"broker:{name}"))
    with pytest.raises(kind) as caught:
        life.to("submit")
    _readable(caught.value, words)
    assert not life.tear_down().proven
    assert life.traces() == []
    # The owner can't reuse or open it either, and is told why.
    again = LifeCycle(home, day, name="again", people=name, result=f"{name}-result")
    with pytest.raises(kind) as caught:
        again.to("issue_ticket")
    _readable(caught.value, words)


def test_a_verdict_that_was_set_by_hand_does_not_start_the_job(home: Path, day: date) -> None:
    life = LifeCycle(home, day).to("distribute")
    with pytest.raises(ConfigError) as caught:
        life.stage("submit")
    _readable(caught.value, "attest has not run")
    assert not life.tear_down().proven
    assert life.traces() == []


def _forge_verdict(life: LifeCycle) -> None:
    with life.run.records.recording("attest") as facts:
        facts.update(allow=True, simulated=True, attested=True, policies={}, reasons=[])


def _readable(error: PpmlError, words: str) -> None:
    """What failed, who must act, and the next step."""
    assert re.search(words, error.what), error.what
    assert error.exit_code != 0
    assert error.who
    assert len(error.next_step) > 10
    assert not error.retryable

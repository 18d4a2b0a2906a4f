"""Each stage is killed before its first effect on the outside world, tried again, killed before its second …

A stage that ends right after all these deaths leaves nothing behind that it would not leave in one go: one key,
one version, one ticket that lives, no plaintext, no half file.
"""

import json
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.files import remove_abandoned
from ppml_ops.keys.model import KeyRef
from ppml_ops.lifecycle.generations import generations
from tests.support.crash import killed_before_effect
from tests.support.life_cycle import STAGES, LifeCycle

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.long]

BEFORE_SUBMIT = STAGES[: STAGES.index("submit")]
AFTER_SUBMIT = (*STAGES[STAGES.index("submit") + 1 :], "retire_ticket", "clean_up")
MOST_EFFECTS = 2000


def die_before_every_effect(life: LifeCycle, stage: str) -> int:
    """Returns how many times the stage was killed before it came to its end."""
    for number in range(1, MOST_EFFECTS):
        if not killed_before_effect(number, lambda: life.stage(stage)):
            return number - 1
    raise AssertionError(f"{stage} has more than {MOST_EFFECTS} effects")


def keys_made(home: Path, dataset: str) -> list[str]:
    """The primary key versions that the broker's audit log says were made for a data set."""
    lines = (home / "broker" / "audit.jsonl").read_bytes().splitlines()
    bodies = [json.loads(line)["body"] for line in lines]
    made = [str(body["key"]) for body in bodies if body["event"] == "key-created"]
    return [key for key in made if KeyRef.parse(key).unversioned() == KeyRef.parse(f"broker:{dataset}")]


def hidden_files(folder: Path) -> list[str]:
    """What only a write in progress may have; tiny files of killed writers are removed when they are older."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            remove_abandoned(path, older_than=0)
    return [str(path) for path in folder.rglob(".*") if path.is_file() and not path.name.endswith(".lock")]


def test_a_run_whose_every_stage_dies_before_every_effect(home: Path, day: date) -> None:
    life = LifeCycle(home, day, name="dies", people=f"sim-dies-{day:%y%j}", result=f"sim-dead-{day:%y%j}")
    deaths = {stage: die_before_every_effect(life, stage) for stage in BEFORE_SUBMIT}
    life.stage("submit")
    deaths |= {stage: die_before_every_effect(life, stage) for stage in AFTER_SUBMIT}
    assert all(deaths.values()), deaths

    receipt = life.receipt()
    assert receipt.problems == ()
    for dataset in (life.people, life.result):
        assert len(keys_made(home, dataset)) == 1
    for store in (life.store, life.results):
        assert store.versions() == [1]
        assert store.strangers(store.read()) == []
        assert hidden_files(store.folder.local()) == []
    assert [generation.number for generation in generations(life.run)] == [1]
    assert len(life.audit("release")) == 2  # entry point and driver, once
    assert hidden_files(life.run.folder) == []
    assert hidden_files(home / "owner") == []
    assert [str(path) for path in life.run.plaintext.rglob("*") if "result" not in path.parts] == []
    assert [node for node in life.run.profile.nodes if life.run.nodes.folder(node).files()] == []

"""What maintenance removes, and above all what it leaves alone."""

import os
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import ConfigError, DataError
from ppml_ops.lifecycle.generations import begin
from ppml_ops.lifecycle.run import Run
from ppml_ops.maintenance.clean import UNKNOWN, Removal, removals
from ppml_ops.maintenance.retention import Rules, read_rules
from ppml_ops.spark.process import ProcessRecord
from ppml_ops.spark.running import PROCESS
from tests.support.proof import run_in
from tests.unit.maintenance.conftest import Site

DAY = 86_400
#: Files can't be given an old ctime, so the present is moved instead.
NOW = time.time() + 400 * DAY
TODAY = datetime.fromtimestamp(NOW, UTC).date()
SPARK_NAME = "part-00000-1a514cc1-3747-4491-b01d-c4e973e9779b-c000.csv"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def age(folder: Path, days_old: float) -> None:
    """Make everything below as old as that."""
    stamp = NOW - days_old * DAY
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (stamp, stamp))
    os.utime(folder, (stamp, stamp))


def found(site: Site, **rules: Any) -> list[Removal]:
    return list(removals(site.home, [Folder(site.storage)], Rules(**rules), now=NOW))


def kinds(site: Site, **rules: Any) -> list[str]:
    return sorted(one.kind for one in found(site, **rules))


def clean(site: Site, **rules: Any) -> None:
    for one in found(site, **rules):
        one.remove()


def a_run(site: Site) -> Run:
    """A run that ended long ago and left everything behind."""
    run = run_in(site.home).save()
    begin(run, "0" * 32)
    for path in (run.folder / "g1" / "work" / "x", run.plaintext / "input" / "p.csv",
                 run.plaintext / "result" / "r.csv", site.home / "nodes" / "node-a" / run.key / "in" / "p",
                 site.home / "airflow" / "logs" / "dag_id=d" / "run_id=r" / "attempt=1.log"):  # fmt: skip
        put(path)
    return run


def test_defaults_remove_plaintext_leftovers_and_logs_but_no_records(site: Site) -> None:
    run = a_run(site)
    age(site.home, 100)
    assert kinds(site) == ["Airflow logs", "node leftovers", "opened result", "working folder of a job"]
    clean(site)
    assert (run.folder / "run.json").exists()
    assert not run.plaintext.exists()
    assert found(site) == []


def test_temporary_plaintext_goes_before_the_result_does(site: Site) -> None:
    run = a_run(site)
    age(site.home, 10)
    clean(site)
    assert not (run.plaintext / "input").exists()
    assert (run.plaintext / "result" / "r.csv").exists()


def test_records_go_only_when_asked_for(site: Site) -> None:
    run = a_run(site)
    age(site.home, 100)
    clean(site, records_days=90)
    assert not run.folder.exists()


@pytest.mark.parametrize("how", ["young", "its job lives"])
def test_nothing_of_a_living_run_is_touched(site: Site, how: str) -> None:
    run = a_run(site)
    age(site.home, 100)
    if how == "young":
        age(run.folder, 0.5)
    else:
        own = ProcessRecord.of(os.getpid())
        (run.folder / "g1" / PROCESS).write_text(own.model_dump_json())
        age(run.folder, 100)
    assert kinds(site) == []


def test_sealed_data_stay_and_so_do_young_parts(site: Site) -> None:
    site.seal()
    stranger = put(site.store().folder.local("t/part-00007-0123456789ab.csv"))
    age(site.storage, 0.5)
    assert kinds(site) == []
    age(site.storage, 100)
    os.utime(stranger, (0, 0))
    assert list(removals(site.home, [Folder(site.storage)], Rules(), now=time.time())) == [], "by its ctime"
    assert [one.path for one in found(site)] == [str(stranger)]
    clean(site)
    manifest = site.store().read(1)
    site.store().check_parts(manifest)


@pytest.mark.parametrize("inner", ["date=2026-11-20", "t", "t/deeper", "other"])
def test_a_data_set_inside_another_ones_folder_is_left_alone(site: Site, inner: str) -> None:
    outer = site.seal()
    inside = Site(site.home)
    inside.storage = site.store().folder.local(inner)
    manifest = inside.seal("sim-inner")
    leftover = put(inside.store("sim-inner").folder.local("t/part-00007-0123456789ab.csv"))
    age(site.home, 100)
    assert [(one.kind, one.path) for one in found(site)] == [("part of no version", str(leftover))]
    clean(site)
    site.store().check_parts(outer)
    inside.store("sim-inner").check_parts(manifest)


@pytest.mark.parametrize(
    "name",
    ["README.md", "t/notes.csv", "t/part.csv", f"t/{SPARK_NAME}", "other/part-00000-0123456789ab.csv",
     "t/part-00000-0123456789abc.csv", "date=2026-11-20/t/part-00000-0123456789ab.csv"],
)  # fmt: skip
def test_other_peoples_files_are_named_and_stay(site: Site, name: str) -> None:
    site.seal()
    foreign = put(site.store().folder.local(name))
    age(site.home, 100)
    assert [(one.kind, one.path) for one in found(site)] == [(UNKNOWN, str(foreign))]
    clean(site)
    assert foreign.exists()


@pytest.mark.parametrize("name", [SPARK_NAME, f".{SPARK_NAME}.copy", "part-00007-0123456789ab"])
def test_own_leftovers_go(site: Site, name: str) -> None:
    site.seal()
    path = put(site.store().folder.local(f"t/{name}"))
    path.write_bytes(b"\x28" + bytes(100))
    age(site.home, 100)
    assert kinds(site) == ["part of no version"]
    clean(site)
    assert not path.exists()


def test_parts_stay_while_a_run_of_that_day_lives(site: Site) -> None:
    site.seal()
    put(site.store().folder.local("t/part-00007-0123456789ab.csv"))
    run = run_in(site.home).save()
    age(site.home, 100)
    assert run.day.isoformat() in str(site.store().folder)
    assert kinds(site) == ["part of no version"]
    age(run.folder, 0.5)
    assert kinds(site) == []


def test_gathered_parts_of_a_dead_run_go(site: Site) -> None:
    site.seal()
    put(site.store().folder.local("_incoming/dead-20261120-0123456789ab-g1/node-a/t/p"))
    age(site.home, 100)
    assert kinds(site) == ["gathered parts of a dead run"]


def test_a_data_set_expires_by_its_day_with_its_logs_and_only_when_asked(site: Site) -> None:
    old, new = TODAY - timedelta(300), TODAY - timedelta(1)
    site.seal(day=old, run="r-20260101-0123456789ab")
    site.seal(day=new)
    log = put(site.store(day=old).folder.local("_logs/r-20260101-0123456789ab-g1.log"))
    clean(site, datasets_days={"sim-other": 1})
    clean(site, datasets_days={"sim-people": 30})
    assert site.store(day=old).versions() == []
    assert site.store(day=new).versions() == [1]
    assert not log.exists()
    with pytest.raises(DataError, match="removed by its retention"):
        site.store(day=old).read(1)
    assert site.seal(day=old).version == 2


@pytest.mark.parametrize("how", ["its day", "in place", "damaged records"])
def test_versions_that_a_living_run_uses_do_not_expire(site: Site, how: str) -> None:
    """It lives when the list is made, or came between list and removal."""
    site.seal()
    run = run_in(site.home)
    store = site.store()
    if how != "its day":
        store = site.store(day=TODAY - timedelta(300))
        site.seal(day=TODAY - timedelta(300))
    age(site.home, 100)
    listed = found(site, datasets_days={"sim-people": 30})
    assert [one.kind for one in listed] == ["expired version"] * (1 if how == "its day" else 2)
    run.save()
    if how == "in place":
        with run.records.recording("issue_ticket") as facts:
            facts["in_place"] = {"sim-people": f"file://{store.folder}/"}
    elif how == "damaged records":
        put(run.folder / "records" / "issue_ticket.json")
    age(run.folder, 0)
    assert [one.remove() for one in listed] == [False] * len(listed)
    assert store.versions() == [1]
    assert found(site, datasets_days={"sim-people": 30}) == []
    age(run.folder, 100)
    assert len(found(site, datasets_days={"sim-people": 30})) == len(listed)


def test_a_rest_of_an_expired_version_waits_for_the_run_that_uses_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.seal()
    with monkeypatch.context() as patched:
        patched.setattr(DatasetStore, "finish", lambda *_arguments: None)
        clean(site, datasets_days={"sim-people": 30})
    run_in(site.home).save()
    age(site.home, 0.5)
    assert kinds(site) == []


def test_what_came_alive_after_the_list_was_made_stays(site: Site) -> None:
    run = a_run(site)
    site.seal()
    put(site.store().folder.local(f"_incoming/{run.key}-g1/node-a/t/p"))
    put(site.store().folder.local("t/part-00007-0123456789ab.csv"))
    age(site.home, 100)
    listed = found(site, records_days=90) + found(site)
    assert {one.kind for one in listed} == {
        "Airflow logs", "node leftovers", "opened result", "working folder of a job", "records and receipts",
        "gathered parts of a dead run", "part of no version",
    }  # fmt: skip
    age(run.folder, 0)
    assert not any(one.remove() for one in listed)
    assert found(site) == []


def test_an_expiry_that_was_cut_is_finished_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = site.seal(day=date(2026, 1, 1))
    store = site.store(day=date(2026, 1, 1))

    def cut(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(DatasetStore, "finish", cut)
        clean(site, datasets_days={"sim-people": 30})
    assert store.versions() == []
    assert store.folder.is_file(manifest.parts[0].path)
    assert kinds(site) == ["rest of an expired version"]
    clean(site)
    assert not store.folder.is_file(manifest.parts[0].path)
    assert found(site) == []


def test_rules_come_from_the_file(site: Site) -> None:
    assert read_rules(site.home) == Rules()
    (site.home / "retention.yaml").write_text("opened_results_days: null\ndatasets_days: {sim-people: 400}\n")
    assert read_rules(site.home) == Rules(opened_results_days=None, datasets_days={"sim-people": 400})


@pytest.mark.parametrize(
    "text", ["- a", "opened_result_days: 1", "leftovers_hours: 1", "datasets_days: {A: 1}", "a: [", "\x00"]
)
def test_rules_that_can_not_be_understood_stop_everything(site: Site, text: str) -> None:
    (site.home / "retention.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"retention\.yaml"):
        read_rules(site.home)

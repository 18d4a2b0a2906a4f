"""Data sets are looked for wherever runs had them, and a place that can't be looked into is no empty one."""

import shutil
from pathlib import Path

import pytest

from ppml_ops.broker.tickets import owner_key
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import ConfigError, IntegrityError
from ppml_ops.lifecycle.run import Run
from ppml_ops.maintenance.drill import drill_all, keys_at_hand
from ppml_ops.maintenance.places import data_places, storages, storages_with_results
from ppml_ops.maintenance.shred import plan_shredding, shred
from tests.support.proof import run_in
from tests.unit.maintenance.conftest import Site


def a_run(site: Site, storage: Path, run_id: str, in_place: str = "") -> Run:
    run = run_in(site.home, run_id).model_copy(update={"storage": str(storage)}).save()
    if in_place:
        with run.records.recording("issue_ticket") as facts:
            facts["in_place"] = {"sim-people": in_place}
    return run


def test_storages_of_runs_and_inputs_in_place_are_places_of_data(site: Site, tmp_path: Path) -> None:
    a_run(site, tmp_path / "s3", "a")
    a_run(site, tmp_path / "s3", "b", in_place=f"file://{tmp_path}/partner/{{date}}")
    a_run(site, site.storage, "c", in_place=f"{site.storage}/sim-people/date={{date}}")
    (site.home / "runs" / "never-opened").mkdir()
    own = [str(site.storage), str(tmp_path / "s3")]
    assert list(map(str, storages(site.home, None))) == own
    assert list(map(str, data_places(site.home, None))) == [*own, str(tmp_path / "partner" / "2026-11-20")]
    assert str(storages(site.home, str(tmp_path / "now"))[0]) == str(tmp_path / "now")


@pytest.mark.parametrize("file", ["run.json", "records/issue_ticket.json"])
def test_records_that_can_not_be_read_hide_no_place(site: Site, file: str) -> None:
    run = a_run(site, site.storage, "a", in_place="/partner")
    (run.folder / file).write_text("{")
    with pytest.raises((ConfigError, IntegrityError)):
        data_places(site.home, None)


def test_the_drill_looks_everywhere(site: Site, tmp_path: Path) -> None:
    site.seal()
    here, site.storage = site.storage, tmp_path / "other"
    site.seal("sim-other")
    places = [Folder(here), Folder(site.storage)]
    tried = drill_all(site.home, places, keys_at_hand(site.home))
    assert [one.path for one in tried] == [
        f"{here}/sim-people/date=2026-11-20",
        f"{site.storage}/sim-other/date=2026-11-20",
    ]
    assert not any(one.why for one in tried)


def test_a_drill_that_finds_nothing_fails_once_there_were_runs(site: Site, tmp_path: Path) -> None:
    places = [Folder(site.storage)]
    assert drill_all(site.home, places, keys_at_hand(site.home)) == []
    a_run(site, site.storage, "a")
    with pytest.raises(ConfigError, match=f"no sealed data set in {site.storage}, although"):
        drill_all(site.home, places, keys_at_hand(site.home))


def test_a_drill_fails_where_a_storage_with_results_is_gone_and_another_one_is_there(
    site: Site, tmp_path: Path
) -> None:
    site.seal()
    run = a_run(site, tmp_path / "unmounted", "a")
    assert storages_with_results(site.home) == []
    with run.records.recording("merge") as facts:
        facts["results"] = {}
    expected = storages_with_results(site.home)
    with pytest.raises(ConfigError, match=f"no sealed data set in {tmp_path}/unmounted, although"):
        drill_all(site.home, data_places(site.home, None), keys_at_hand(site.home), expected=expected)


@pytest.mark.parametrize("how", ["absent", "empty"])
def test_a_whole_primary_key_is_not_destroyed_while_a_place_can_not_be_searched(
    site: Site, tmp_path: Path, how: str
) -> None:
    site.seal(erasable=False)
    here, other = site.storage, tmp_path / "disk"
    site.storage = other
    needs_it = site.seal()  # under the same primary key, on a disk that is not there now
    site.storage = here
    other.rename(tmp_path / "unplugged")
    if how == "empty":
        other.mkdir()
    searched = [Folder(here), Folder(other)]
    plan = plan_shredding(site.home, site.store(), 1, searched)
    with pytest.raises(ConfigError, match=f"there is nothing in {other}"):
        shred(
            site.home, plan, owner_key(site.home / "owner" / "key.jwk"), now=1, searched=searched, plaintext=[]
        )
    assert site.store().versions() == [1], "nothing was done"
    shutil.rmtree(other, ignore_errors=True)
    (tmp_path / "unplugged").rename(other)
    plan = plan_shredding(site.home, site.store(), 1, searched)
    assert plan.unsearchable == ()
    assert list(plan.needed_by) == [needs_it.wraps[0].key]


def test_where_wraps_are_erased_one_by_one_no_other_place_matters(site: Site, tmp_path: Path) -> None:
    site.seal()
    plan = plan_shredding(site.home, site.store(), 1, [Folder(tmp_path / "absent")])
    assert plan.unsearchable == ()

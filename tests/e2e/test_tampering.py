"""Sealed bytes that are not those the ticket was signed for: never a result, and mostly not even a key."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.errors import DataError, IntegrityError
from tests.support.life_cycle import LifeCycle

pytestmark = [pytest.mark.e2e, pytest.mark.java]


def _part(life: LifeCycle) -> Path:
    """The only part of the newest input."""
    manifest = life.store.read()
    return life.store.folder.local(manifest.parts[0].path)


def _remove(life: LifeCycle) -> None:
    _part(life).unlink()


def _empty(life: LifeCycle) -> None:
    _part(life).write_bytes(b"")


def _cut(life: LifeCycle) -> None:
    part = _part(life)
    part.write_bytes(part.read_bytes()[:-1])


def _replace(life: LifeCycle) -> None:
    """By a part of the same length from another version, good in itself."""
    other = LifeCycle(life.run.home, life.run.day, name="other", people="sim-replacement").to("encrypt_upload")
    shutil.copy(_part(other), _part(life))


def _change_header(life: LifeCycle) -> None:
    _flip(_part(life), 5)


def _change_manifest(life: LifeCycle) -> None:
    path = life.store.folder.local("_manifest/1.json")
    path.write_text(path.read_text().replace('"header":true', '"header":false'))


def _flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[LifeCycle], None], str]] = {
    "missing part": (_remove, "people/part-.* is missing"),
    "0-byte part": (_empty, "people/part-.* has 0 bytes instead of"),
    "cut part": (_cut, "people/part-.* has .* bytes instead of"),
    "replaced part": (_replace, "people/part-.* was replaced"),
    "changed header": (_change_header, "people/part-.* was replaced"),
    "changed manifest": (_change_manifest, "sim-people"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_in_the_storage_is_found_before_anything_starts(home: Path, day: date, case: str) -> None:
    damage, words = DAMAGES[case]
    life = LifeCycle(home, day, name=case).to("issue_ticket")
    damage(life)
    with pytest.raises(IntegrityError, match=words):
        life.to("distribute")
    assert not life.tear_down().proven
    assert life.traces() == []
    # The next run of the day does not reuse it silently either.
    with pytest.raises(IntegrityError, match=words):
        LifeCycle(home, day, name=f"{case}, again").to("issue_ticket")


def test_damage_between_distribute_and_submit_is_found(home: Path, day: date) -> None:
    life = LifeCycle(home, day).to("attest")
    _remove(life)
    with pytest.raises(IntegrityError, match=r"people/part-.* is missing"):
        life.to("submit")
    assert not life.tear_down().proven
    assert life.traces() == []


def _two_versions(home: Path, day: date) -> tuple[LifeCycle, bytes, bytes]:
    """A day whose input was sealed twice; also manifest and part of version 1."""
    first = LifeCycle(home, day, name="first", seed=1).to("encrypt_upload")
    manifest = first.store.folder.local("_manifest/1.json").read_bytes()
    part = _part(first).read_bytes()
    second = LifeCycle(home, day, name="second", seed=2).to("encrypt_upload")
    assert second.store.versions() == [1, 2]
    return second, manifest, part


@pytest.mark.parametrize("stage", ["encrypt_upload", "issue_ticket", "attest"])
def test_an_older_version_put_back_in_the_storage_is_refused(home: Path, day: date, stage: str) -> None:
    """Its manifest as the newest one, or simply the newest one gone, as in a restored backup."""
    life, older, _bytes = _two_versions(home, day)
    life.to(stage)
    newest = life.store.folder.local("_manifest/2.json")
    newest.write_bytes(older)
    refusing = {"encrypt_upload": "issue_ticket", "issue_ticket": "distribute", "attest": "submit"}[stage]
    with pytest.raises(IntegrityError, match="is the manifest of version 1"):
        life.to(refusing)
    newest.unlink()
    with pytest.raises((DataError, IntegrityError), match="version 2"):
        life.to(refusing)
    assert not life.tear_down().proven
    assert life.traces() == []


def _node_part(life: LifeCycle, node: str) -> Path:
    return life.run.nodes.folder(node, f"in/{life.people}").local(life.store.read(2).parts[0].path)


def test_an_older_version_put_back_on_the_nodes_is_refused(home: Path, day: date) -> None:
    """The last moment: the job has been started, and Spark has not read yet."""
    life, older, old_part = _two_versions(home, day)
    life.to("attest")

    def roll_back(_running: object) -> None:
        for node in life.run.profile.nodes:
            folder = life.run.nodes.folder(node, f"in/{life.people}")
            folder.local("_manifest/2.json").write_bytes(older)
            _node_part(life, node).write_bytes(old_part)

    life.started = roll_back
    with pytest.raises(IntegrityError) as caught:
        life.to("submit")
    _no_result(life, caught.value)


def test_a_changed_byte_is_found_by_the_job_that_reads_it(home: Path, day: date) -> None:
    """Length and header fit, so only decryption can see it."""
    life = LifeCycle(home, day, rows=2000).to("issue_ticket")
    _flip(_part(life), _part(life).stat().st_size // 2)
    with pytest.raises(IntegrityError) as caught:
        life.to("submit")
    _no_result(life, caught.value)


def _no_result(life: LifeCycle, error: IntegrityError) -> None:
    """The job got its keys; its output must not count."""
    assert "PPML-INTEGRITY" in "\n".join(life.lines)
    assert error.who
    assert error.next_step
    assert not life.tear_down().proven
    assert [trace for trace in life.traces() if "released a key" not in trace] == []

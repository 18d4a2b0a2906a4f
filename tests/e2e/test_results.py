"""SimpleQuery's result equals an independent count over the plaintext, whatever the input looks like."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.datasets.manifest import Manifest
from ppml_ops.errors import IntegrityError
from ppml_ops.lifecycle.gather import result_manifests
from tests.support.life_cycle import LifeCycle
from tests.support.people import AWKWARD, answer, read_rows, write_people

pytestmark = [pytest.mark.e2e, pytest.mark.java]


def test_a_second_run_of_a_day_reuses_its_input_and_publishes_version_2(
    home: Path, day: date, tmp_path: Path
) -> None:
    first = LifeCycle(home, day, name="first", rows=3000, seed=7, min_age=30, max_age=35, partitions=3)
    assert first.finish().problems == ()
    rows = first.input_rows(tmp_path / "input")
    assert rows.total() == 3000
    wanted = answer(rows, min_age=30, max_age=35)
    assert wanted
    assert first.result_rows() == wanted
    assert _parts_with_rows(first.results.read(1)) == 3
    # The same input again, and nobody matches.
    second = LifeCycle(home, day, name="second", rows=3000, seed=7, job="Astronaut")
    assert second.finish().problems == ()
    assert second.run.records.facts("encrypt_upload", second.people)["reused"] is True
    assert second.store.versions() == [1]
    assert second.results.versions() == [1, 2]
    assert second.results.read(2).previous == second.results.read(1).digest
    assert second.result_rows().total() == 0
    assert second.run.records.facts("decrypt")["rows"] == 0


def _parts_with_rows(manifest: Manifest) -> int:
    return sum(part.path.endswith(".csv") for part in manifest.parts)


def test_own_files_on_a_machine_without_a_tee_that_the_policy_allows(
    home: Path, day: date, tmp_path: Path
) -> None:
    """A folder of several files; the verdict says UNATTESTED. On its way home the result is damaged twice."""
    folder = tmp_path / "input"
    files = [
        write_people(folder / "a.csv", AWKWARD),
        write_people(folder / "b.csv", [(f"n{n}", 18 + n % 50, "Data, Engineer") for n in range(200)]),
        write_people(folder / "c.csv", []),
    ]
    life = LifeCycle(
        home, day, people="sim-own", result="sim-own-result", source=str(folder), profile="local-no-tee",
        job="Data, Engineer", min_age=27, max_age=60, partitions=1,
    ).to("preflight")  # fmt: skip
    for dataset in (life.people, life.result):
        policy = home / "owner" / "policies" / f"{dataset}.yaml"
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_text(
            f"dataset: {dataset}\nrelease:\n- purpose: [simple-query]\n  tee: [none]\n  simulated: true\n"
        )
    life.to("submit")
    (manifest,) = result_manifests(life.run)
    part = max(manifest.parts, key=lambda one: one.length)
    with damaged(life.run.nodes.folder(part.node or "", f"g1/{life.result}").local(part.path), b""):
        with pytest.raises(IntegrityError, match="missing or not the one written"):
            life.to("gather")
        assert life.results.versions() == []
    life.to("merge")
    in_storage = life.results.folder.local(part.path)
    data = bytearray(in_storage.read_bytes())
    data[len(data) // 2] ^= 1
    with damaged(in_storage, bytes(data)), pytest.raises(IntegrityError):
        life.to("decrypt")
    assert not list(life.run.plaintext.rglob("*.csv"))
    assert life.finish().problems == ()
    assert life.result_rows() == answer(read_rows(files), job="Data, Engineer", min_age=27, max_age=60)
    facts = life.run.records.facts("attest")
    assert (facts["allow"], facts["attested"]) == (True, False)
    releases = life.audit("release")
    assert releases
    assert {body["attested"] for body in releases} == {False}
    # The input that was handed in is the owner's: it stays as it was.
    assert sorted(folder.iterdir()) == files
    assert not [line for line in life.lines if "Lovelace" in line or "Hopper" in line]


@contextmanager
def damaged(path: Path, content: bytes) -> Iterator[None]:
    """Other bytes at `path` for a while."""
    good = path.read_bytes()
    path.write_bytes(content)
    yield
    path.write_bytes(good)

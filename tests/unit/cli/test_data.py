"""`ppml-ops data` and `keys` as stories: what one types, what one sees."""

import json
from pathlib import Path

import pytest

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.workloads.generate_people import generate
from tests.unit.cli.conftest import Cli


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A plaintext CSV file."""
    path = tmp_path / "people.csv"
    generate(path, 2000, 3)
    return path


def seal(ppml: Cli, people: Path, target: Path) -> None:
    done = ppml(
        "data", "seal", people, target, "--key", "local:people", "--dataset", "people", "--date", "2026-11-20"
    )
    assert (done.code, done.err) == (0, "")


def test_generate_seal_show_verify_open(ppml: Cli, tmp_path: Path) -> None:
    plain, sealed, opened = tmp_path / "p.csv", tmp_path / "sealed", tmp_path / "opened"
    assert ppml("data", "generate", plain, "--rows", "1000", "--seed", "7").out.startswith("1,000 rows")
    assert ppml("keys", "create", "local:people").out == "local:people?version=1"
    seal(ppml, plain, sealed)
    shown = json.loads(ppml("data", "show", sealed, "--json").out)
    assert shown["partition"] == {"date": "2026-11-20"}
    assert "version 1 of 1" in ppml("data", "show", sealed).out
    assert ppml("data", "verify", sealed).out == "version 1 of people is whole: 1 parts"
    assert ppml("data", "open", sealed, opened).code == 0
    (path,) = opened.rglob("*.csv")
    assert path.read_bytes() == plain.read_bytes()


def test_rotate_keeps_old_data_readable_until_the_version_is_destroyed(
    ppml: Cli, people: Path, tmp_path: Path
) -> None:
    sealed = tmp_path / "sealed"
    ppml("keys", "create", "local:people")
    seal(ppml, people, sealed)
    assert ppml("keys", "rotate", "local:people").out == "local:people?version=2"
    assert ppml("data", "verify", sealed).code == 0
    assert "2 active (current)" in ppml("keys", "show", "local:people").out.replace("│ ", "")
    refused = ppml("keys", "destroy", "local:people?version=1")
    assert (refused.code, "--yes" in refused.err) == (78, True)
    assert ppml("keys", "destroy", "local:people?version=1", "--yes").code == 0
    lost = ppml("data", "open", sealed, tmp_path / "opened")
    assert lost.code == 77
    assert "destroyed" in lost.err
    assert not (tmp_path / "opened").exists()


def test_rewrapped_data_outlive_the_old_version(ppml: Cli, people: Path, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    ppml("keys", "create", "local:people")
    seal(ppml, people, sealed)
    ppml("keys", "rotate", "local:people")
    assert ppml("data", "rewrap", sealed).out == "version 2 of people: local:people?version=2"
    assert ppml("data", "rewrap", sealed).out.startswith("version 2 of people: nothing to do")
    ppml("keys", "destroy", "local:people?version=1", "--yes")
    assert ppml("data", "verify", sealed).code == 0
    assert ppml("data", "verify", sealed, "--version", "1").code == 77


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("data", "open", "nowhere", "x"), 65, "no sealed data set"),
        (("data", "seal", "nowhere", "x", "--key", "local:people", "--dataset", "people"), 65, "no input"),
        (
            ("data", "seal", "nowhere", "x", "--key", "local:people", "--dataset", "Bad_Id"),
            78,
            "not a data set id",
        ),
        (("data", "generate", "/nowhere/at/all.csv"), 78, "can't write"),
        (("keys", "show", "local:nobody"), 78, "nobody"),
        (("keys", "create", "moon:people"), 78, "known: broker, local, simple"),
        (("keys", "list", "broker:"), 75, "ppml-ops broker serve"),
        (("receipt", "show", "no-such-run"), 78, "NO RECEIPT"),
        (("data", "logs", "no-such-run"), 78, "no record of run"),
    ],
)
def test_mistakes_get_one_clear_message(ppml: Cli, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = ppml(*arguments)
    assert done.code == code
    assert done.err.startswith("error: ")
    assert words in done.err
    assert " for the " in done.err, "says who must act"
    assert done.out == ""


def test_a_changed_byte_is_found(ppml: Cli, people: Path, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    ppml("keys", "create", "local:people")
    seal(ppml, people, sealed)
    part = sealed / DatasetStore(Folder(sealed)).read().parts[0].path
    data = bytearray(part.read_bytes())
    data[500] ^= 1
    part.write_bytes(data)
    for arguments in (("verify", sealed), ("open", sealed, tmp_path / "opened")):
        done = ppml("data", *arguments)
        assert done.code == 76
        assert "does not open" in done.err
    assert not (tmp_path / "opened").exists()


def test_a_stranger_is_refused_by_verify(ppml: Cli, people: Path, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    ppml("keys", "create", "local:people")
    seal(ppml, people, sealed)
    (sealed / "data" / "extra.csv").write_bytes(b"x")
    done = ppml("data", "verify", sealed)
    assert (done.code, "data/extra.csv" in done.err) == (65, True)


def test_a_wrong_setting_names_the_places_it_may_come_from(ppml: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPML_OPS_RETRY_DELAY", "soon")
    done = ppml("keys", "list")
    assert (done.code, "ppml-ops.toml" in done.err) == (78, True)

"""Input and parameters that can't be used: one message of what failed, who must act and what to do."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, DataError, PpmlError
from tests.e2e.conftest import Cli
from tests.support.life_cycle import LifeCycle
from tests.support.people import write_people

pytestmark = [pytest.mark.e2e, pytest.mark.java]


def _missing(folder: Path) -> str:
    return str(folder / "nobody.csv")


def _empty_file(folder: Path) -> str:
    (folder / "empty.csv").write_bytes(b"")
    return str(folder / "empty.csv")


def _one_empty_of_two(folder: Path) -> str:
    write_people(folder / "in" / "a.csv", [("a", 30, "Developer")])
    (folder / "in" / "b.csv").write_bytes(b"")
    return str(folder / "in")


def _empty_folder(folder: Path) -> str:
    (folder / "in").mkdir()
    return str(folder / "in")


def _no_age(folder: Path) -> str:
    (folder / "people.csv").write_text("name,years,job\nAda,36,Developer\n")
    return str(folder / "people.csv")


def _no_header(folder: Path) -> str:
    (folder / "people.csv").write_text("Ada,36,Developer\n")
    return str(folder / "people.csv")


def _binary(folder: Path) -> str:
    (folder / "people.csv").write_bytes(b"\xff\xfe\x00\x01" * 100)
    return str(folder / "people.csv")


def _unknown_scheme(_folder: Path) -> str:
    return "nowhere://bucket/people.csv"


INPUTS: dict[str, tuple[Callable[[Path], str], type[PpmlError], str]] = {
    "missing file": (_missing, DataError, "no input at .*nobody.csv"),
    "empty file": (_empty_file, DataError, "empty.csv is empty"),
    "one of two files is empty": (_one_empty_of_two, DataError, "b.csv is empty"),
    "empty folder": (_empty_folder, DataError, "no input at"),
    "no column age": (_no_age, DataError, "people.csv has no column age"),
    "no header": (_no_header, DataError, "people.csv has no column name, age, job"),
    "not text": (_binary, DataError, "people.csv is not a CSV header"),
    "unknown kind of URL": (_unknown_scheme, ConfigError, "can't reach nowhere://"),
}


@pytest.mark.parametrize("case", INPUTS)
def test_input_that_cannot_be_sealed(home: Path, day: date, tmp_path: Path, case: str) -> None:
    make, kind, words = INPUTS[case]
    life = LifeCycle(home, day, source=make(tmp_path)).to("generate_key")
    with pytest.raises(kind, match=words) as caught:
        life.to("encrypt_upload")
    assert caught.value.exit_code in (65, 78)
    assert len(caught.value.next_step) > 10
    assert life.store.versions() == []
    assert life.store.folder.files() == []
    receipt = life.tear_down()
    assert not receipt.proven
    assert life.traces() == []


def test_an_unknown_profile_names_the_known_ones(home: Path, day: date) -> None:
    life = LifeCycle(home, day, profile="moon")
    with pytest.raises(ConfigError, match="no profile 'moon'") as caught:
        life.to("preflight")
    assert "local-no-tee" in caught.value.next_step


@pytest.mark.parametrize("where", ["JAVA_HOME", "PATH"])
def test_without_java_the_preflight_says_what_to_install(
    home: Path, day: date, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv(where, str(tmp_path))
    if where == "PATH":
        monkeypatch.delenv("JAVA_HOME", raising=False)
    life = LifeCycle(home, day).to("open_run")
    with pytest.raises(ConfigError, match=r"no Java: looked at .*JAVA_HOME") as caught:
        life.to("preflight")
    assert "openjdk-17-jre-headless" in caught.value.next_step
    assert not life.tear_down().proven


def test_a_state_folder_that_cannot_be_written(command: Cli, tmp_path: Path) -> None:
    """Below a regular file nobody can make a folder, not even root."""
    (tmp_path / "file").write_text("")
    done = command("run", "simple_query", PPML_OPS_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 78
    assert f"can't write to {tmp_path}/file/home" in done.stderr
    assert "PPML_OPS_HOME" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_parameters_that_are_not_key_value(command: Cli) -> None:
    done = command("run", "simple_query", "-c", "min_age")
    assert done.returncode == 78
    assert "'min_age' is not key=value" in done.stderr

"""The documentation says what is true: links, commands, settings, exit codes and policies exist as written."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from ppml_ops import errors
from ppml_ops.attestation.policy_model import DataSetPolicy
from ppml_ops.cli.app import app
from ppml_ops.errors import PpmlError
from ppml_ops.settings import Settings
from ppml_ops.spark.job import Resources
from ppml_ops.spark.k8s.objectstore import ObjectStore
from ppml_ops.spark.k8s.platform import KubernetesPlatform
from ppml_ops.spark.profiles import Profile

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "sim/*.md", "tests/data/**/*.md")
    for page in ROOT.glob(pattern)
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4,}\S.*$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"(?:^|[\s/])ppml-ops((?:[ \t]+[^\s|;&#]+)*)")
_PATH = re.compile(r"(?:tests|ppml_ops|dags|docs|scripts)/[A-Za-z0-9_./-]*")


def code(text: str) -> Iterator[str]:
    """All code of a page: fenced and indented blocks with continued lines joined, and spans."""
    for _language, block in _FENCE.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    rest = _FENCE.sub("", text).replace("\\\n", " ")
    yield from _INDENTED.findall(rest)
    yield from _SPAN.findall(rest)


def command_problem(words: list[str]) -> str | None:
    """Why `ppml-ops <words>` can't be called; None when it can."""
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name.startswith("-"):
            return None if name == "--help" else f"{name} is no option of a group"
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
    known = {"--help"} | {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"no option {', '.join(unknown)}" if unknown else None


def table_rows(page: str) -> list[list[str]]:
    lines = (ROOT / page).read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = _SPAN.sub("", _FENCE.sub("", page.read_text("utf-8")))
    targets = [target.split("#")[0] for target in _LINK.findall(text) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paths_in_code_exist(page: Path) -> None:
    spans = [span for span in _SPAN.findall(page.read_text("utf-8")) if _PATH.fullmatch(span)]
    assert [span for span in spans if not (ROOT / span).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page: Path) -> None:
    problems = []
    for line in code(page.read_text("utf-8")):
        for words in _COMMAND.findall(line):
            problem = command_problem(words.split())
            if problem:
                problems.append(f"{line.strip()}: {problem}")
    assert problems == []


def test_the_check_of_commands_finds_wrong_ones() -> None:
    assert command_problem(["run", "simple_query", "--rows", "5"]) is None
    assert command_problem(["data", "melt", "x"]) == "there is no command melt"
    assert command_problem(["run", "simple_query", "--fast"]) == "no option --fast"
    assert command_problem(["shred"]) == "there is no command shred"


@pytest.mark.parametrize("model", [Profile, KubernetesPlatform, ObjectStore, Resources])
def test_all_fields_of_profiles_are_documented_as_they_are(model: type[BaseModel]) -> None:
    rows = table_rows("docs/profiles.md")
    for name, field in model.model_fields.items():
        if field.is_required():
            default = "required"
        elif field.default_factory is not None:
            default = "see below"
        else:
            default = "none" if field.default is None else f"`{field.default}`".replace("`()`", "`[]`")
        assert [f"`{name}`", default, field.description] in rows


def test_all_settings_are_documented_as_they_are() -> None:
    rows = table_rows("docs/operations.md")
    for name, field in Settings.model_fields.items():
        if field.default_factory is not None:
            default = "see below"
        else:
            default = "none" if field.default is None else f"`{field.default}`"
        assert [f"`{name}`", f"`PPML_OPS_{name.upper()}`", field.description, default] in rows


def test_all_commands_of_the_first_level_are_mentioned() -> None:
    lines = [line for page in PAGES for line in code(page.read_text("utf-8"))]
    mentioned = {words.split()[0] for line in lines for words in _COMMAND.findall(line) if words.split()}
    commands: Any = typer.main.get_command(app)
    assert set(commands.commands) - {"version"} <= mentioned


def test_exit_codes_are_those_of_the_errors() -> None:
    classes = [
        cls
        for _name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, PpmlError) and cls is not PpmlError
    ]
    wanted = {(cls.__name__, str(cls.exit_code), "yes" if cls.retryable else "no") for cls in classes}
    rows = table_rows("docs/architecture.md")
    found = {(row[0].strip("`"), row[1], row[2]) for row in rows if re.fullmatch(r"`[A-Z]\w+Error`", row[0])}
    assert found == wanted


def _policies() -> list[str]:
    text = (ROOT / "docs/policies.md").read_text("utf-8")
    return [block for language, block in _FENCE.findall(text) if language == "yaml"]


def test_there_are_examples_of_policies() -> None:
    assert len(_policies()) >= 3


@pytest.mark.parametrize("number", range(len(_policies())))
def test_examples_of_policies_parse(number: int) -> None:
    assert DataSetPolicy.from_yaml(_policies()[number]).release


def test_every_field_of_a_policy_is_documented() -> None:
    text = (ROOT / "docs/policies.md").read_text("utf-8")
    names: set[str] = set()

    def collect(schema: dict[str, Any]) -> None:
        names.update(schema.get("properties", {}))
        for part in schema.get("$defs", {}).values():
            collect(part)

    collect(DataSetPolicy.model_json_schema())
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_decisions_are_indexed() -> None:
    index = (ROOT / "docs/adr/README.md").read_text("utf-8")
    pages = [page.name for page in (ROOT / "docs/adr").glob("[0-9]*.md")]
    assert pages
    assert [name for name in pages if f"({name})" not in index] == []

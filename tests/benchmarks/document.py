"""docs/benchmarks.md: one marked section a benchmark; what stands outside the marks is written by hand."""

from pathlib import Path

from ppml_ops.errors import ConfigError
from tests.benchmarks.report import Report

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def marks(name: str) -> tuple[str, str]:
    """The lines that begin and end the section of a benchmark."""
    return f"<!-- benchmark {name}: begin -->", f"<!-- benchmark {name}: end -->"


def replaced(text: str, report: Report, machine: str) -> str:
    """`text` with the section of `report` renewed.

    Raises:
        ConfigError: the section's marks are not there exactly once, in order.
    """
    begin, end = marks(report.name)
    before, found, rest = text.partition(begin)
    _old, closed, after = rest.partition(end)
    if not (found and closed) or begin in rest or end in after:
        raise ConfigError(
            f"the document has no section marked {begin!r} to {end!r}",
            next_step="put both marks, once, where the section belongs",
        )
    return f"{before}{begin}\n{report.markdown(machine)}\n{end}{after}"


def write_section(report: Report, machine: str, path: Path = DOCUMENT) -> None:
    """Renew the section of `report` in the document; raises as `replaced`."""
    path.write_text(replaced(path.read_text(encoding="utf-8"), report, machine), encoding="utf-8")

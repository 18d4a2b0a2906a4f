"""What a benchmark returns: tables with what was measured and how to read them."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

Row = tuple[str, ...]


@dataclass(frozen=True)
class Options:
    """Sizes asked for on the command line; None: the benchmark's own, which docs/benchmarks.md shows.

    `rows` of people, `rounds` that count, `mib`: MiB of the file that is sealed.
    """

    rows: int | None = None
    rounds: int | None = None
    mib: int | None = None


@dataclass(frozen=True)
class Table:
    """Text cells under column names; the first column names the row."""

    title: str
    columns: Row
    rows: tuple[Row, ...]

    def rich(self) -> RichTable:
        """For a terminal."""
        table = RichTable(title=self.title, title_justify="left", title_style="bold", box=box.SIMPLE)
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> Iterator[str]:
        """Lines for a document."""
        yield f"**{self.title}**"
        yield ""
        yield f"| {' | '.join(self.columns)} |"
        yield f"| --- |{' ---: |' * (len(self.columns) - 1)}"
        for row in self.rows:
            yield f"| {' | '.join(row)} |"


@dataclass(frozen=True)
class Report:
    """One benchmark's result.

    Attributes:
        name: as on the command line.
        title: heading in the document.
        measured: what was run, how often, on how much.
        reading: what the columns mean and what they leave out.
    """

    name: str
    title: str
    measured: str
    reading: str
    tables: tuple[Table, ...]

    def show(self, console: Console) -> None:
        """Print all of it."""
        console.rule(self.title, align="left")
        console.print(self.measured, markup=False)
        for table in self.tables:
            console.print()
            console.print(table.rich())
        console.print(self.reading, markup=False)
        console.print()

    def markdown(self, machine: str) -> str:
        """The section of the document below its heading."""
        lines = [f"## {self.title}", "", f"What: {self.measured}", ""]
        for table in self.tables:
            lines += [*table.markdown(), ""]
        return "\n".join([*lines, f"How to read it: {self.reading}", "", f"Machine: {machine}"])

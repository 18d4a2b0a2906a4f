"""The end of a run on a terminal: nothing in the data can break or fake it."""

import io
from pathlib import Path

from rich.console import Console

from ppml_ops.cli.summary import _show_rows, _state
from ppml_ops.receipts.records import StageRecord


def test_cells_are_shown_as_they_are_and_control_characters_are_not(tmp_path: Path) -> None:
    (tmp_path / "part.csv").write_text('name,[/x]\n"a\\[bold]b",\\[/red]\n"\x1b[31mred","tab\there"\n')
    out = io.StringIO()
    _show_rows(Console(file=out, width=120), "first rows", tmp_path)
    shown = out.getvalue()
    for text in ("[/x]", "a\\[bold]b", "\\[/red]"):
        assert text in shown
    assert "\x1b" not in shown


def test_a_gather_that_left_the_parts_where_they_lie_is_shown_as_skipped() -> None:
    record = StageRecord(stage="gather", index="object-store", outcome="done", started=0, finished=1)
    assert _state(record) == "[green]done[/]"
    assert _state(record.model_copy(update={"facts": {"stays_in": "s3://b/r/g1"}})) == "[magenta]skipped[/]"
    assert _state(record.model_copy(update={"outcome": "failed"})) == "[red]failed[/]"

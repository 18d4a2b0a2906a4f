import json
from pathlib import Path

import pytest

from ppml_ops.spark.k8s.termination import MAX_BYTES, leave_message, termination_message


def test_message_is_one_line_of_json(tmp_path: Path) -> None:
    leave_message(termination_message(77, "spark-1", "PPML-DENIED: no [me: ask]"), tmp_path / "log")
    text = (tmp_path / "log").read_text()
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "exit_code": 77,
        "application_id": "spark-1",
        "line": "PPML-DENIED: no [me: ask]",
    }


@pytest.mark.parametrize("letter", ["x", "ü", "🚀", '"'])
def test_long_lines_are_cut_and_stay_json(letter: str) -> None:
    message = termination_message(70, None, letter * 5000)
    assert len(message) <= MAX_BYTES
    line = json.loads(message)["line"]
    assert line.endswith("…")
    assert set(line[:-1]) == {letter}
    assert len(line) > 150


def test_a_pod_without_the_file_ends_all_the_same(tmp_path: Path) -> None:
    leave_message(b"x", tmp_path / "no" / "log")

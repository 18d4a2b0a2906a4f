"""`make test-all` runs every long suite."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_every_long_suite_is_listed_and_is_there() -> None:
    text = (PROJECT / "Makefile").read_text().replace("\\\n", " ")
    found = re.search(r"^LONG := (.*)$", text, re.MULTILINE)
    assert found
    listed = {PROJECT / name for name in found[1].split()}
    assert all(suite.exists() for suite in listed)
    long = {path for path in (PROJECT / "tests").rglob("test_*.py") if "pytest.mark.long" in path.read_text()}
    long -= {Path(__file__)}
    long = {path for path in long if PROJECT / "tests/cluster" not in path.parents}  # one call runs them
    forgotten = {path for path in long if not listed & {path, *path.parents}}
    assert not forgotten
    assert all(any(path == suite or suite in path.parents for path in long) for suite in listed)

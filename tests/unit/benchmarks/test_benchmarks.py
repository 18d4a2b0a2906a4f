"""Benchmarks without Spark run at tiny sizes; of the others, what turns their measurements into tables."""

import os
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError
from tests.benchmarks import clean_clone, measure, original, release, sealing, spark_variant
from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.airflow_overhead import times_of
from tests.benchmarks.document import DOCUMENT, marks, replaced, write_section
from tests.benchmarks.machine import machine_facts
from tests.benchmarks.report import Options, Report, Table

TABLE = Table("two", ("what", "value"), (("a", "1"), ("b", "2")))
REPORT = Report("release", "Title", "what it was", "how it reads", (TABLE,))


def test_sealing_at_a_tiny_size() -> None:
    report = sealing.run(Options(rows=300, rounds=1, mib=2))
    *files, memory = report.tables
    assert files
    assert all(len(table.rows) == 4 for table in files)
    assert len(memory.rows) == 6
    assert memory.rows[-1][0] == "open, sum up and compare a result of all rows, 300 rows"


def test_original_at_a_tiny_size() -> None:
    (table,) = original.run(Options(rows=300)).tables
    assert len(table.rows) == 7
    assert all(float(row[1]) >= 0 for row in table.rows), "short steps take no time that shows"


def test_release_from_services_of_its_own() -> None:
    report = release.run(Options(rounds=1))
    assert len(report.tables[0].rows) == 3
    assert all(float(row[1]) >= 0 for row in report.tables[0].rows)


def test_machine_facts_name_the_load() -> None:
    assert "load average before" in machine_facts()


@pytest.mark.parametrize(("percent", "value"), [(50, 3), (95, 5), (100, 5), (1, 1)])
def test_percentile_is_a_nearest_rank(percent: float, value: float) -> None:
    assert measure.percentile([5, 1, 4, 2, 3], percent) == value


def test_order_rotates_and_ratios_are_taken_in_pairs() -> None:
    assert measure.rotated("abc", 4) == ["b", "c", "a"]
    assert measure.pair_ratios([2, 9], [1, 3]) == [2, 3]
    assert measure.median_range([2.0, 3.0, 1.0]) == "2.00 (1.00-3.00)"


def test_cpu_of_a_tree_counts_children_that_have_ended() -> None:
    before = measure.tree_cpu(os.getpid())
    os.waitpid(_burning_child(), 0)
    assert measure.tree_cpu(os.getpid()) > before


def _burning_child() -> int:
    return os.posix_spawnp("sh", ["sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"], os.environ)


def test_a_section_is_renewed_and_the_rest_of_the_document_stays(tmp_path: Path) -> None:
    begin, end = marks("release")
    path = tmp_path / "benchmarks.md"
    path.write_text(f"# Head\n{begin}\nold\n{end}\ntail\n")
    write_section(REPORT, "a machine", path)
    write_section(REPORT, "another machine", path)
    text = path.read_text()
    assert text.startswith("# Head\n")
    assert text.endswith("\ntail\n")
    assert "old" not in text
    assert text.count("Machine: ") == text.count("Machine: another machine") == 1
    assert "| what | value |\n| --- | ---: |\n| a | 1 |" in text


def test_a_document_without_the_section_is_refused() -> None:
    with pytest.raises(ConfigError, match="no section marked"):
        replaced("# Head\n", REPORT, "a machine")


def test_the_document_has_a_place_for_every_benchmark() -> None:
    text = DOCUMENT.read_text()
    assert all(text.count(mark) == 1 for name in BENCHMARKS for mark in marks(name))


def test_settings_are_taken_out_by_prefix() -> None:
    product = {"spark.plugins": "p", "spark.io.encryption.enabled": "true", "spark.master": "local[2]"}
    assert spark_variant.without(product, *spark_variant.SEALING) == {
        "spark.io.encryption.enabled": "true",
        "spark.master": "local[2]",
    }
    bare = spark_variant.without(product, *spark_variant.SEALING, *spark_variant.SHIELDING)
    assert bare == {"spark.master": "local[2]"}


def test_times_of_a_run_add_up() -> None:
    records = [
        {"stage": "open_run", "started": 12.0, "finished": 12.5, "facts": {}},
        {"stage": "submit", "started": 13.0, "finished": 18.0, "facts": {"seconds": 4.0}},
        {"stage": "gather", "started": 18.5, "finished": 19.0, "facts": {}},
        {"stage": "gather", "started": 19.5, "finished": 20.0, "facts": {}},
    ]
    tasks = [{"seconds": 2.0}, {"seconds": 5.0}, {"seconds": 0.5}]
    times = times_of({"stages": records, "tasks": tasks}, 10.0, 23.0)
    assert times.stages == {"open_run": 0.5, "submit": 1.0, "gather": 1.0}
    assert (times.start, times.spark, times.between, times.receipt, times.end) == (2.0, 4.0, 1.5, 0.5, 2.5)
    parts = times.start + times.spark + sum(times.stages.values()) + times.between + times.receipt + times.end
    assert parts == times.total == 13.0
    assert times.per_task == 0.5


def test_a_stranger_has_an_empty_home_and_no_caches(tmp_path: Path) -> None:
    here = {
        "PATH": "/usr/bin",
        "HOME": "/home/me",
        "XDG_CACHE_HOME": "/c",
        "UV_CACHE_DIR": "/u",
        "PIP_FIND_LINKS": "/w",
        "PPML_OPS_HOME": "/s",
        "HTTPS_PROXY": "http://proxy",
    }
    environment = clean_clone.stranger(here, tmp_path)
    assert set(environment) == {"PATH", "HOME", "TMPDIR", "HTTPS_PROXY"}
    assert list(Path(environment["HOME"]).iterdir()) == []

from pathlib import Path

import pytest

from ppml_ops.spark.job import Resources
from ppml_ops.spark.profiles import load_profile
from ppml_ops.spark.render import Submission, Tools, render_local

from .builders import job, placement

GOLDEN = Path(__file__).parent / "golden"
TOOLS = Tools(python="/venv/bin/python", spark_home="/spark", java_home="/java", jar="/jars/ppml.jar")


def render(**changes: object) -> Submission:
    return render_local(
        job(**changes),
        load_profile("local"),
        placement(),
        TOOLS,
        sockets="/tmp/ppml-x",
    )


def test_defaults_are_as_agreed() -> None:
    assert render().defaults() == (GOLDEN / "spark-defaults.conf").read_text()


def test_argv_is_as_agreed() -> None:
    runner = str(Path(__import__("ppml_ops").__file__).parent / "spark" / "runner.py")
    argv = [word.replace(runner, "<runner>") for word in render().argv]
    assert argv == (GOLDEN / "argv.txt").read_text().splitlines()


def test_environment_is_complete_and_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    lines = [f"{name}={value}" for name, value in render().environment.items()]
    assert lines == (GOLDEN / "environment.txt").read_text().splitlines()


def test_user_conf_is_there_and_never_wins() -> None:
    properties = render(conf={"spark.sql.shuffle.partitions": "3"}).properties
    assert properties["spark.sql.shuffle.partitions"] == "3"
    assert properties["spark.plugins"] == "io.github.ppmlops.spark.PpmlPlugin"


def test_threads_are_what_job_and_profile_both_allow() -> None:
    assert render(resources=Resources(cores=1)).properties["spark.master"] == "local[1]"
    assert render(resources=Resources(cores=64)).properties["spark.master"] == "local[2]"


def test_values_survive_the_properties_format() -> None:
    submission = Submission([], {"a": " blank", "b": "back\\slash", "c": "ü🚀"}, {})
    assert submission.defaults() == "a=\\ blank\nb=back\\\\slash\nc=\\u00fc\\ud83d\\ude80\n"


@pytest.mark.parametrize(("memory", "spills"), [("512m", True), (None, False)])
def test_python_workers_never_spill(monkeypatch: pytest.MonkeyPatch, memory: str | None, spills: bool) -> None:
    """What they spill lies on the disk in clear; tried with workers that use 100 TiB."""
    from pyspark import shuffle
    from pyspark.util import _parse_memory

    limit = _parse_memory(memory or render().properties["spark.python.worker.memory"])
    monkeypatch.setattr(shuffle, "get_used_memory", lambda: 100 << 20)
    monkeypatch.setattr(shuffle.ExternalMerger, "_spill", lambda self: setattr(self, "spills", self.spills + 1))
    aggregator = shuffle.SimpleAggregator(lambda a, b: a + b)
    merger = shuffle.ExternalMerger(aggregator, limit * 0.9, batch=10)
    merger.mergeValues((key, 1) for key in range(1000))
    assert (merger.spills > 0) == spills

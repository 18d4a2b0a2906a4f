from pathlib import Path

import pytest

from ppml_ops.spark.job import CodeBundle, Resources
from ppml_ops.spark.profiles import load_profile
from ppml_ops.spark.render import Submission, Tools, render_local, script_path

from .builders import DIGEST, job, placement

GOLDEN = Path(__file__).parent / "golden"
TOOLS = Tools(python="/venv/bin/python", spark_home="/spark", java_home="/java", jar="/jars/ppml.jar")


def render(**changes: object) -> Submission:
    return render_local(
        job(**changes),
        load_profile("local"),
        placement(),
        TOOLS,
        script="/state/runs/r/g1/code/simple_query.py",
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


def test_script_is_the_file_or_main_in_the_folder() -> None:
    in_folder = job(code=CodeBundle(main="app/main.py", digest=DIGEST))
    assert script_path(in_folder, "/g/code", is_folder=True) == "/g/code/app/main.py"
    assert script_path(in_folder, "/g/code/main.py", is_folder=False) == "/g/code/main.py"

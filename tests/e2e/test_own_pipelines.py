"""Programs of a user's own in the same life cycle: several inputs and outputs, partitions, a jar, checks."""

import csv
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from ppml_ops.spark.jvm.build import compiler, find_java, spark_jars
from tests.e2e.conftest import PROJECT, Cli
from tests.support.people import AWKWARD, write_people

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.long]

EXAMPLE = PROJECT / "pipelines"

JAVA = """
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

public class Count {
    public static void main(String[] arguments) {
        SparkSession spark = SparkSession.builder().getOrCreate();
        long rows = spark.read().option("header", true).csv(arguments[0]).filter((Row row) -> true)
            .count();
        System.out.println("CANARY-" + rows);
        String text = String.join("|", arguments) + "|" + rows;
        spark.sql("select '" + text + "' as text").coalesce(1).write().option("header", true).csv(arguments[1]);
    }
}
"""


def salaries(path: Path, names: list[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "salary"))
        writer.writerows((name, 1000 + number) for number, name in enumerate(names))
    return path


def rows(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted(folder.rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as text:
            found += list(csv.DictReader(text))
    return found


def test_two_inputs_two_results_with_partitions_and_a_check(command: Cli, tmp_path: Path) -> None:
    """The shipped example; then the same with its second input read where it lies, and a check that fails."""
    people = write_people(tmp_path / "people.csv", AWKWARD)
    paid = salaries(tmp_path / "salaries.csv", ["twice", "other", "wide"])
    given = ("-c", f"people={people}", "-c", f"salaries={paid}", "--date", "2025-03-01")
    done = command("run", "people_statistics", *given, "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads(done.stdout)
    result = Path(summary["result"])
    by_job = {folder.name for folder in (result / "sim-salary-by-job/rows").iterdir() if folder.is_dir()}
    assert by_job == {"job=Developer", "job=Engineer", "job=Data, Engineer"}
    assert rows(result / "sim-salary-by-job/rows/job=Developer") == [{"people": "2", "salary": "2000"}]
    oldest = {row["job"]: row["age"] for row in rows(result / "sim-oldest")}
    assert oldest == {"Developer": "41", "Engineer": "30", "Data, Engineer": "28"}
    assert (result.parent / "check.log").read_text() == "2025-03-01: 3 jobs with salaries, 3 with people\n"
    stages = {stage["stage"]: stage["facts"] for stage in summary["stages"]}
    assert (stages["decrypt"]["rows"], stages["decrypt"]["matches_expected"]) == (6, True)

    own = tmp_path / "pipelines"
    shutil.copytree(EXAMPLE, own)
    home = result.parents[2]
    place = home / "storage" / "sim-salaries" / "date={date}"
    spec = (own / "people_statistics.yaml").read_text()
    spec = spec.replace(
        "source: \"{{ params.salaries or '' }}\", columns: [name, salary]", f'in_place: "{place}"'
    )
    (own / "people_statistics.yaml").write_text(spec.replace("dag: people_statistics", "dag: in_place"))
    (own / "people_statistics" / "check.py").write_text("raise SystemExit('CANARY')\n")
    (own / "wrong.yaml").write_text("ppml: pipeline/1\ndag: wrong\njobs: {}\n")
    environment = {"PPML_OPS_PIPELINES_FOLDER": str(own)}
    arguments = ("-c", f"people={people}", "--date", "2025-03-01")
    done = command("run", "in_place", *arguments, "--run-id", "checked", **environment)
    assert done.returncode == 1
    assert "decrypt: the check check.py ended with exit code 1" in done.stdout
    assert "CANARY" not in done.stdout + done.stderr
    (own / "people_statistics" / "check.py").write_text("import sys\nprint(sys.argv)\n")
    done = command("run", "in_place", *arguments, "--run-id", "checked", "--json", **environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads(done.stdout)
    stages = {stage["stage"]: stage["facts"] for stage in summary["stages"]}
    assert stages["distribute"]["in_place"].keys() == {"sim-salaries"}
    assert [line["path"].split("/")[0] for line in stages["distribute"]["nodes"]["node-a"]] == ["people"]
    assert stages["merge"]["versions"] == {"sim-salary-by-job": 2, "sim-oldest": 2}

    done = command("run", "wrong", **environment)
    assert done.returncode == 1
    assert "the pipeline specification wrong.yaml is wrong: " in done.stdout


def test_a_jar_gets_its_arguments_unchanged_and_what_it_prints_stays_sealed(
    command: Cli, tmp_path: Path
) -> None:
    jar = compiled(tmp_path)
    people = write_people(tmp_path / "people.csv", AWKWARD)
    expected = tmp_path / "expected-2025-03-02.csv"
    text = f"sealed://sim-jar-in/people|sealed://sim-jar-out/text|--x=a  b|$HOME|{len(AWKWARD)}"
    expected.write_text(f"text\n{text}\n")
    spec = {
        "ppml": "pipeline/1", "dag": "counts", "purpose": "count",
        "job": {"application": jar.name, "main_class": "Count", "arguments": text.split("|")[:4]},
        "inputs": [{"dataset": "sim-jar-in", "table": "people", "source": str(people)}],
        "outputs": [{"dataset": "sim-jar-out", "columns": ["text"], "expected": "expected-{date}.csv"}],
    }  # fmt: skip
    (tmp_path / "counts.yaml").write_text(json.dumps(spec))
    environment = {"PPML_OPS_PIPELINES_FOLDER": str(tmp_path)}
    done = command("run", "counts", "--date", "2025-03-02", "--json", **environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert rows(Path(summary["result"])) == [{"text": text}]
    logs = [Path(task["log"]).read_text() for task in summary["tasks"]]
    assert not any("CANARY" in log for log in logs)
    assert any("application local-" in log for log in logs)
    shown = command("data", "logs", summary["run_key"])
    assert f"CANARY-{len(AWKWARD)}" in shown.stdout

    expected.write_text("text\nsomething else\n")
    done = command("run", "counts", "--date", "2025-03-02", **environment)
    assert done.returncode == 1
    assert "sim-jar-out has 1 rows where 1 are expected, or other values in them" in done.stdout


def compiled(folder: Path) -> Path:
    """A jar with the class `Count`."""
    (folder / "Count.java").write_text(JAVA)
    classpath = os.pathsep.join(str(jar) for jar in spark_jars().glob("*.jar"))
    command = [*compiler(find_java()), "-nowarn", "-classpath", classpath, "-d", str(folder), "Count.java"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    jar = folder / "count.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for path in folder.glob("*.class"):
            archive.write(path, path.name)
    return jar

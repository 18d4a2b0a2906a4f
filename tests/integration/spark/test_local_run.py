"""The real thing on one host: platform, broker, sealed input, Spark, sealed output."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ppml_ops.canonical import b64e
from ppml_ops.errors import ConfigError, DeniedError, IntegrityError, WorkloadError
from ppml_ops.spark.agent import key_ring, release
from ppml_ops.spark.placement import AgentConfig, NoDevice
from ppml_ops.workloads import simple_query
from ppml_ops.workloads.generate_people import COLUMNS, expected_summary, generate
from ppml_ops.workloads.rows import RowSummary, summarise_csv

from .installation import PURPOSE, Site, running_site, traces

pytestmark = pytest.mark.java

ROWS, SEED = 5_000, 11
QUERY = Path(simple_query.__file__)
CANARY = "Canary-Alice-4711"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("home")) as found:
        plain = found.home / "plain"
        plain.mkdir()
        generate(plain / "a.csv", ROWS, SEED)
        generate(plain / "b.csv", ROWS, SEED + 1)
        found.seal("people", plain, "people")
        yield found


def summary(parts: list[bytes]) -> RowSummary:
    return summarise_csv([io.StringIO(part.decode(), newline="") for part in parts], COLUMNS)


def wanted() -> RowSummary:
    one, two = expected_summary(ROWS, SEED), expected_summary(ROWS, SEED + 1)
    total = (int(one.digest, 16) + int(two.digest, 16)) % (1 << 256)
    return RowSummary(rows=one.rows + two.rows, digest=f"{total:064x}")


def query_arguments(output: str = "developers") -> list[str]:
    return ["--input", "sealed://people/people", "--output", f"sealed://result/{output}"]


def test_simple_query_gives_the_expected_rows_and_leaves_nothing_in_clear(site: Site) -> None:
    lines: list[str] = []
    job = site.job(QUERY, query_arguments(), reads=["people"], write="result")
    placement = site.placement(job, QUERY, "query-g1")
    running = site.launcher(lines).launch(job, placement)
    outcome = running.wait()

    assert outcome.exit_code == 0
    assert outcome.application_id is not None
    assert f"application {outcome.application_id} runs on Spark 4.3.0" in lines
    parts = site.opened(placement, "result")
    assert summary(list(parts.values())) == wanted()
    assert len(parts) == 2
    log = site.log(placement, "result")
    assert f"people: {2 * ROWS}" in log
    assert "1/3 loadInputs" in log
    assert not any("people:" in line or "loadInputs" in line for line in lines)
    folder = Path(placement.folder)
    assert not (folder / "work").exists()
    assert not (folder / "code").exists()
    assert running.record.tree() == set()
    assert traces(site.home / "nodes", {"rows": b"Developer"}) == []
    assert traces(folder, {"rows": b"Developer", "key": site.keys["result"]}) == []


FAILING = """
import sys
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf
spark = SparkSession.builder.getOrCreate()
rows = spark.createDataFrame([("{canary}", "{canary}")], ["name", "age"])
print("user says {canary}")
print("{canary} on stderr", file=sys.stderr)
rows.select(udf(lambda text: print(text) or text)("name")).collect()
rows.selectExpr("name", "cast(age as int)").write.csv("sealed://result/out")
"""


def test_what_user_code_prints_and_what_its_exceptions_say_stays_in_the_sealed_log(
    site: Site, tmp_path: Path
) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(canary=CANARY))
    lines: list[str] = []
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "failing-g1")
    running = site.launcher(lines).launch(job, placement)
    with pytest.raises(WorkloadError, match="CAST_INVALID_INPUT") as caught:
        running.wait()

    assert "ppml-ops data logs RUN" in str(caught.value)
    assert running.outcome is not None
    assert running.outcome.exit_code == 70
    assert "error class org.apache.spark.SparkNumberFormatException" in lines
    assert CANARY not in "\n".join([*lines, str(caught.value)])
    log = site.log(placement, "result")
    assert f"user says {CANARY}" in log
    assert f"{CANARY} on stderr" in log
    assert f"The value '{CANARY}'" in log
    assert traces(site.home, {"canary": CANARY.encode()}) == []


def test_changed_code_is_denied_before_spark_starts(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("print(1)\n")
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "changed-g1")
    script.write_text("print(2)\n")
    lines: list[str] = []
    running = site.launcher(lines).launch(job, placement)
    with pytest.raises(DeniedError, match=r"is not what the ticket was signed for: ticket .*, measured"):
        running.wait()
    assert running.outcome is not None
    assert running.outcome.exit_code == 77
    assert not any("Spark" in line for line in lines)


def test_a_generation_is_started_once_and_others_may_attach(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("print(1)\n")
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "twice-g1")
    script.write_text("print(2)\n")  # denied: ends without starting Spark
    with pytest.raises(ConfigError, match="was not started here"):
        site.launcher([]).attach(job, placement)
    with pytest.raises(DeniedError):
        site.launcher([]).launch(job, placement).wait()
    with pytest.raises(ConfigError, match="was started before"):
        site.launcher([]).launch(job, placement)
    with pytest.raises(DeniedError, match="not what the ticket"):
        site.launcher([]).attach(job, placement).wait()


def test_code_that_changes_after_its_measurement_does_not_run(site: Site, tmp_path: Path) -> None:
    """Spark's settings are written once the keys are there; the change comes while Spark starts."""
    script = tmp_path / "app.py"
    script.write_text("print(1)\n")
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "swapped-g1")
    lines: list[str] = []
    running = site.launcher(lines).launch(job, placement)
    folder = Path(placement.folder)
    deadline = time.monotonic() + 60
    while not (folder / "work/conf/log4j2.properties").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / "code/app.py").write_text("print('user code ran')\n")
    with pytest.raises(DeniedError, match="code changed between its measurement and its start") as caught:
        running.wait()
    assert caught.value.who == "the operator"
    assert running.outcome is not None
    assert running.outcome.exit_code == 77
    assert "user code ran" not in site.log(placement, "result")


LAUNCH = """
import os, sys
from pathlib import Path
from ppml_ops.spark.job import parse_job
from ppml_ops.spark.launcher import LocalLauncher
from ppml_ops.spark.placement import Placement
from ppml_ops.spark.profiles import load_profile
platform, job, placement = map(Path, sys.argv[1:])
launcher = LocalLauncher(load_profile("local"), platform_socket=platform)
launcher.launch(parse_job(job.read_bytes()), Placement.model_validate_json(placement.read_bytes()))
os.kill(os.getpid(), 9)
"""


def test_a_job_outlives_a_launcher_that_is_killed_right_after_the_start(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "rdd.py"
    script.write_text(RDD)
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "orphan-g1")
    (tmp_path / "job").write_bytes(job.canonical())
    (tmp_path / "placement").write_text(placement.model_dump_json())
    files = [str(site.home / "sim/platform.sock"), str(tmp_path / "job"), str(tmp_path / "placement")]
    killed = subprocess.run([sys.executable, "-c", LAUNCH, *files], check=False)
    assert killed.returncode == -9
    lines: list[str] = []
    assert site.launcher(lines).attach(job, placement).wait().exit_code == 0
    assert not any("was not destroyed" in line for line in lines)
    assert not (Path(placement.folder) / "td.json").exists()


RDD = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print("bytecode of the driver:", sys.pycache_prefix)
prefixes = spark.sparkContext.parallelize([1], 1).map(lambda _: __import__("sys").pycache_prefix)
print("bytecode of workers:", prefixes.collect()[0])
spark.sparkContext.parallelize(["one", "two", "three"], 2).saveAsTextFile("sealed://result/words")
"""


def test_parts_of_rdd_writers_are_published_after_a_clean_end(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "rdd.py"
    script.write_text(RDD)
    lines: list[str] = []
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "rdd-g1")
    site.launcher(lines).launch(job, placement).wait()
    assert "data set result: 2 parts of RDD writers published" in lines
    words = b"".join(site.opened(placement, "result").values()).split()
    assert sorted(words) == [b"one", b"three", b"two"]
    bytecode = f"{placement.folder}/work/pycache\n"
    log = site.log(placement, "result")
    assert f"bytecode of the driver: {bytecode}" in log
    assert f"bytecode of workers: {bytecode}" in log


def test_a_changed_part_fails_as_integrity(site: Site) -> None:
    folder = site.node("node-a", "people")
    part = next(path for path in folder.files() if path.startswith("people/"))
    path = folder.local(part)
    good = path.read_bytes()
    job = site.job(QUERY, query_arguments(), reads=["people"], write="result")
    placement = site.placement(job, QUERY, "flipped-g1")
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        running = site.launcher([]).launch(job, placement)
        with pytest.raises(IntegrityError):
            running.wait()
    finally:
        path.write_bytes(good)
    assert running.outcome is not None
    assert running.outcome.exit_code == 76


STAYS = """
import subprocess, time
from pyspark.sql import SparkSession
subprocess.Popen(["sleep", "120"], start_new_session=True)
print("partial canary", flush=True)
time.sleep(120)
"""


def test_stop_ends_spark_and_what_user_code_started_and_keeps_the_log(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "stays.py"
    script.write_text(STAYS)
    lines: list[str] = []
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "stopped-g1")
    running = site.launcher(lines).launch(job, placement)
    deadline = time.monotonic() + 60
    application = Path(placement.folder) / "application.json"
    while not application.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    tree = running.record.tree()
    visible = b"".join(_shown(pid) for pid in tree)
    for dataset in ("people", "result"):
        key = site.keys[dataset]
        assert not any(form in visible for form in (key, key.hex().encode(), b64e(key).encode()))
    assert b"spark-submit" in visible or b"SparkSubmit" in visible
    assert f"-I\0-X\0pycache_prefix={placement.folder}/work/pycache\0".encode() in visible
    start = time.monotonic()
    running.stop()
    with pytest.raises(WorkloadError, match="ended on request"):
        running.wait()
    assert time.monotonic() - start < 25
    assert len(tree) > 3
    assert running.record.tree() == set()
    assert not any(_lives(pid) for pid in tree)
    assert not (Path(placement.folder) / "work").exists()
    assert "partial canary" in site.log(placement, "result")


def _shown(pid: int) -> bytes:
    """What any process of this user can read of another: argv and environment."""
    folder = Path(f"/proc/{pid}")
    try:
        return (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
    except OSError:
        return b""


def _lives(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_refusal_inside_the_jvm_ends_the_job_with_its_class(site: Site, tmp_path: Path) -> None:
    """One activation: the entry point uses it up, so the driver's agent is refused."""
    script = tmp_path / "app.py"
    script.write_text("print('user code ran')\n")
    lines: list[str] = []
    job = site.job(script, [], reads=["people"], write="result")
    placement = site.placement(job, script, "spent-g1", activations=1)
    running = site.launcher(lines).launch(job, placement)
    with pytest.raises(DeniedError):
        running.wait()
    assert running.outcome is not None
    assert running.outcome.exit_code == 77
    assert any(line.startswith("PPML-DENIED: ") for line in lines)
    assert "user code ran" not in site.log(placement, "result")


def test_without_a_tee_a_policy_must_say_so(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text("print(1)\n")
    job = site.job(script, [], reads=[], write="open-result", profile="local-no-tee")
    placement = site.placement(job, script, "no-tee-g1")
    (tmp_path / "job.json").write_bytes(job.canonical())
    fields = placement.model_dump(exclude={"folder", "versions"})
    config = AgentConfig(**fields, job=str(tmp_path / "job.json"), device=NoDevice(), tee="none")
    with pytest.raises(DeniedError, match="none"):
        release(config)
    rule = {"tee": ["none"], "purpose": [PURPOSE], "simulated": True, "ticket": {"required": True}}
    policy = {"dataset": "open-result", "release": [rule]}
    site.broker().put_policy("open-result", yaml.safe_dump(policy))
    ring = key_ring(release(config).model_dump(mode="json"), config)
    assert ring["datasets"][0]["key"] == b64e(site.keys["open-result"])

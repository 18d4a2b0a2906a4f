"""Jobs in pods, made by hand: what happens inside them, and what they leave behind."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from ppml_ops.spark.k8s.names import ROLE, driver_name
from ppml_ops.spark.k8s.plan import JOB, PodPlan
from ppml_ops.spark.k8s.pods import executor_template
from ppml_ops.spark.k8s.secret import rpc_secret
from ppml_ops.spark.profiles import Profile
from ppml_ops.workloads import simple_query
from tests.cluster.pod_site import PodSite, new_generation, running_pod_site
from tests.support.cluster import Cluster

pytestmark = pytest.mark.long  # whole runs show the same together: life_cycle/test_modes.py

ROWS = 400
SIMPLE_QUERY = Path(simple_query.__file__)
QUERY = [
    "--input", "sealed://people/t", "--output", "sealed://result/out", "--partitions", "4", "--max-age", "60",
]  # fmt: skip
#: Takes its time, then writes on both nodes.
PATIENT = """
import time
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
print("a line for the owner only", flush=True)

def slow(rows):
    time.sleep(SECONDS)
    yield from rows

rows = spark.sparkContext.parallelize(range(40), 2).mapPartitions(slow).map(lambda n: (n,))
spark.createDataFrame(rows, "id int").write.csv("sealed://result/out")
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 people, half of them developers."""
    file = tmp_path_factory.mktemp("people") / "people.csv"
    rows = "".join(f"n{i},{20 + i % 30},{'Developer' if i % 2 else 'Engineer'}\n" for i in range(ROWS))
    file.write_text(f"name,age,job\n{rows}")
    return file


@pytest.fixture(scope="module")
def site(
    harness_cluster: Cluster, namespace: str, spark_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PodSite]:
    """Without a TEE; the policies say so. Puts files where the nodes of the harness have their folders."""
    home, root = tmp_path_factory.mktemp("site"), Path(f"/var/lib/{namespace}")
    with running_pod_site(home, root, namespace, spark_image, harness_cluster) as made:
        yield made


@pytest.fixture
def started(site: PodSite, people: Path) -> Callable[..., tuple[PodPlan, Profile]]:
    """Starts a job over the people; the name of its result is always `result`."""

    def start(code: Path, arguments: list[str], **options: Any) -> tuple[PodPlan, Profile]:
        return start_on(site, people, code, arguments, **options)

    return start


def start_on(
    site: PodSite, people: Path, code: Path, arguments: list[str], platform: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[PodPlan, Profile]:  # fmt: skip
    generation = new_generation("pods")
    site.place(generation.rpartition("-g")[0], "people", people, "t")
    profile = site.profile(**(platform or {}))
    job = site.job(
        code,
        arguments,
        reads=["people"],
        write="result",
        profile="pods",
        topology="node-folders",
        resources=profile.resources,
    )
    return site.start(job, code, profile, generation, **options), profile


def script(tmp_path: Path, seconds: float) -> Path:
    file = tmp_path / "patient.py"
    file.write_text(PATIENT.replace("SECONDS", str(seconds)))
    return file


def wait_until(what: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.5)


def check_result(site: PodSite, plan: PodPlan, rows: int) -> None:
    """Every part lies on the node that the manifest names and nowhere else; no node has all of them."""
    manifest, files = site.parts(plan, "result")
    for part in manifest.parts:
        assert [node for node, paths in files.items() if part.path in paths] == [part.node]
    assert {part.node for part in manifest.parts} == set(site.nodes)
    texts = [site.text(plan, "result", str(part.node), part.path) for part in manifest.parts]
    assert sum(len(text.splitlines()) - text.startswith(b"name,") for text in texts) == rows


def check_no_secret(site: PodSite, plan: PodPlan) -> None:
    """Neither data keys nor the secret between the pods stand in anything that the cluster knows."""
    keys = {name: site.keys[name] for name in ("people", "result")}
    words = [base64.b64encode(keys["result"]).decode(), rpc_secret(keys, plan.generation).decode()]
    api = site.api.api_client
    for found in (
        site.api.list_namespaced_pod(site.namespace),
        site.api.list_namespaced_config_map(site.namespace),
        site.api.list_namespaced_event(site.namespace),
    ):
        text = json.dumps(api.sanitize_for_serialization(found))
        assert not [word for word in words if word in text]
        assert "_SPARK_AUTH_SECRET" not in text


def test_each_node_keeps_the_parts_that_its_executor_wrote(
    site: PodSite, started: Callable[..., tuple[PodPlan, Profile]]
) -> None:
    plan, _ = started(SIMPLE_QUERY, QUERY)
    ended = site.ended(plan)
    assert ended.exit_code == 0, ended.lines
    assert ended.message["line"] is None
    assert ended.message["application_id"].startswith("spark-")
    assert ended.lines[-1] == "exit code 0"
    check_result(site, plan, ROWS // 2)
    check_no_secret(site, plan)
    executors = site.executors(plan)
    assert sorted(pod.spec.node_name for pod in executors) == list(site.nodes)
    wait_until(lambda: all(site.lines(pod.metadata.name)[-1] == "exit code 0" for pod in executors))
    assert site.lines(executors[0].metadata.name) == ["executor 1 started", "executor 1 ended", "exit code 0"]
    logs = site.logs(plan, "result")
    assert set(logs) == {f"{plan.generation}{process}.log" for process in ("", "-e1", "-e2")}
    assert f"people: {ROWS}" in logs[f"{plan.generation}.log"]
    assert "Executor: Finished task" in logs[f"{plan.generation}-e1.log"]


def test_a_job_that_is_not_the_tickets_gets_no_key(
    site: PodSite, started: Callable[..., tuple[PodPlan, Profile]]
) -> None:
    other = site.job(
        SIMPLE_QUERY,
        [*QUERY, "--job", "Engineer"],
        reads=["people"],
        write="result",
        profile="pods",
        topology="node-folders",
    )
    plan, _ = started(SIMPLE_QUERY, QUERY, changes={JOB: other.canonical()})
    ended = site.ended(plan)
    assert ended.exit_code == 77
    assert ended.message["line"].startswith("PPML-DENIED: the code or job at ")
    assert ended.message["line"] in ended.lines
    assert site.executors(plan) == []


def test_executors_that_are_refused_end_the_job_and_say_why(
    site: PodSite, started: Callable[..., tuple[PodPlan, Profile]]
) -> None:
    """The ticket allows two releases: the driver's entry point and its JVM take them."""
    plan, _ = started(SIMPLE_QUERY, QUERY, activations=2, platform={"executor_failures": 1})
    ended = site.ended(plan)
    assert ended.exit_code == 70
    assert "executors failed more often than the profile allows; their pods say why" in ended.lines
    executors = site.executors(plan)
    assert len(executors) > 1
    state = executors[0].status.container_statuses[0].state.terminated
    assert state.exit_code == 77
    assert json.loads(state.message)["line"].startswith("PPML-DENIED: ")


def test_an_executor_with_options_of_others_asks_for_no_key(
    site: PodSite, started: Callable[..., tuple[PodPlan, Profile]], tmp_path: Path
) -> None:
    """A pod that somebody made like Spark's driver would, but for one option of its JVM."""
    plan, profile = started(script(tmp_path, 600), [])
    pod = executor_template(plan, profile)
    pod["metadata"] |= {"name": f"{plan.generation}-exec-77"}
    pod["spec"]["containers"][0]["args"] = ["executor"]
    given = {
        "SPARK_EXECUTOR_MEMORY": "256m", "SPARK_EXECUTOR_ID": "77", "SPARK_EXECUTOR_CORES": "1",
        "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@10.0.0.1:1", "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.1", "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "x", "SPARK_JAVA_OPT_0": "-javaagent:/ppml/node/evil.jar",
    }  # fmt: skip
    pod["spec"]["containers"][0]["env"] += [{"name": name, "value": value} for name, value in given.items()]
    site.api.create_namespaced_pod(site.namespace, pod)
    name = pod["metadata"]["name"]
    wait_until(lambda: site.lines(name)[-1:] == ["exit code 77"])
    assert "option that may run or open anything: '-javaagent'" in site.lines(name)[0]
    assert not [log for log in site.logs(plan, "result") if "-e77" in log]
    site.api.delete_namespaced_pod(driver_name(plan.generation), site.namespace)


def test_a_deleted_driver_ends_in_order_and_takes_its_executors_along(
    site: PodSite, started: Callable[..., tuple[PodPlan, Profile]], tmp_path: Path
) -> None:
    plan, _ = started(script(tmp_path, 600), [])
    name = driver_name(plan.generation)
    wait_until(lambda: any(line.startswith("stage 0: ") for line in site.lines(name)))
    seen: list[str] = []

    def gone() -> bool:
        try:
            lines = site.lines(name)
            site.api.read_namespaced_pod(name, site.namespace)
        except ApiException as error:
            return error.status == 404
        seen[:] = lines if len(lines) > len(seen) else seen
        return False

    site.api.delete_namespaced_pod(name, site.namespace)
    wait_until(gone)
    assert seen[-1] == "exit code 143"
    wait_until(lambda: site.executors(plan) == [])
    assert "a line for the owner only" in site.logs(plan, "result")[f"{plan.generation}.log"]
    assert not any("a line for" in line for line in seen)


def test_a_lost_executor_is_replaced_and_no_row_with_it(
    site: PodSite, started: Callable[..., tuple[PodPlan, Profile]], tmp_path: Path
) -> None:
    plan, _ = started(script(tmp_path, 20), [])
    name = driver_name(plan.generation)
    wait_until(lambda: any(line.startswith("stage 0: ") for line in site.lines(name)))
    lost = site.executors(plan)[0].metadata.name
    site.api.delete_namespaced_pod(lost, site.namespace, grace_period_seconds=0)
    ended = site.ended(plan)
    assert ended.exit_code == 0, ended.lines
    assert "executor 1 lost" in ended.lines
    manifest, files = site.parts(plan, "result")
    assert {(part.path, part.node) for part in manifest.parts} == {
        (path, node) for node, paths in files.items() for path in paths
    }
    texts = [site.text(plan, "result", str(part.node), part.path) for part in manifest.parts]
    assert sorted(int(line) for text in texts for line in text.split()) == list(range(40))
    assert [pod.metadata.name.rpartition("-")[2] for pod in site.executors(plan)] == ["2", "3"]


def test_a_driver_on_the_worker_has_its_executors_in_pods(
    site: PodSite, people: Path, monkeypatch: pytest.MonkeyPatch, harness_cluster: Cluster
) -> None:
    monkeypatch.setenv("KUBECONFIG", harness_cluster.kubeconfig)
    generation = new_generation("here")
    site.place(generation.rpartition("-g")[0], "people", people, "t")
    profile = site.profile(mode="client")
    job = site.job(
        SIMPLE_QUERY,
        QUERY,
        reads=["people"],
        write="result",
        profile="pods",
        topology="node-folders",
        resources=profile.resources,
    )
    plan, running = site.start_here(job, SIMPLE_QUERY, profile, generation)
    assert running.wait().exit_code == 0
    assert "executor 2 added" in site.said
    manifest, files = site.parts(plan, "result", site.node("worker", "result", generation))
    assert {(part.path, part.node) for part in manifest.parts} == {
        (path, node) for node, paths in files.items() for path in paths
    }
    assert {part.node for part in manifest.parts} == set(site.nodes)
    assert set(site.logs(plan, "result")) == {f"{generation}-e1.log", f"{generation}-e2.log"}
    check_no_secret(site, plan)


def test_pods_with_tds_of_their_own(
    harness_cluster: Cluster, make_namespace: Callable[[], str], spark_image: str, simulated_nodes: Any,
    people: Path, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """SIMULATED. Driver and executors are measured by the platform of their node, as the policy wants."""
    namespace, home = make_namespace(), tmp_path_factory.mktemp("tdx")
    simulated_nodes.give_to(home)
    root = Path(f"/var/lib/{namespace}")
    device = simulated_nodes.device_path
    with running_pod_site(home, root, namespace, spark_image, harness_cluster, device) as site:
        plan, _ = start_on(site, people, SIMPLE_QUERY, QUERY)
        ended = site.ended(plan)
        assert ended.exit_code == 0, ended.lines
        check_result(site, plan, ROWS // 2)
        assert {pod.metadata.labels[ROLE] for pod in site.executors(plan)} == {"executor"}

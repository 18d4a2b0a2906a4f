import json
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s.render import (
    Cluster,
    in_cluster,
    render_client_driver,
    render_pod_driver,
    template_document,
)
from ppml_ops.spark.render import Submission, Tools
from ppml_ops.spark.tools import shared_socket_folder
from tests.unit.spark.builders import placement
from tests.unit.spark.k8s.pod_builders import GENERATION, plan, pod_job, profile

GOLDEN = Path(__file__).parents[1] / "golden"
TOOLS = Tools(
    python="/opt/ppml/bin/python3",
    spark_home="/opt/spark",
    java_home="/opt/java",
    jar="/opt/ppml/share/ppml.jar",
)
POD = Cluster("https://10.96.0.1:443", "10.88.2.7", f"{GENERATION}-driver", "spark-app-1")


def in_pod(**resources: object) -> Submission:
    placed = placement(folder="/ppml/work/g", code="/ppml/work/g/code")
    return render_pod_driver(pod_job(**resources), profile(), placed, TOOLS, plan(), POD)


def on_host() -> Submission:
    host = TOOLS.__class__("/venv/bin/python", "/spark", "/java", "/jars/ppml.jar")
    cluster = Cluster("https://10.89.0.1:6443", "10.89.0.1")
    return render_client_driver(pod_job(), profile(), placement(), host, plan(), cluster)


@pytest.mark.parametrize(("name", "made"), [("pod-driver", in_pod()), ("client-driver", on_host())])
def test_settings_and_environment_are_as_agreed(name: str, made: Submission) -> None:
    environment = "".join(f"{variable}={value}\n" for variable, value in made.environment.items())
    assert made.defaults() == (GOLDEN / f"{name}.conf").read_text()
    assert environment == (GOLDEN / f"{name}.env").read_text()


def test_dynamic_executors() -> None:
    properties = in_pod(executors=2, max_executors=6).properties
    assert {name: value for name, value in properties.items() if "dynamicAllocation" in name} == {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.initialExecutors": "2",
        "spark.dynamicAllocation.minExecutors": "0",
        "spark.dynamicAllocation.maxExecutors": "6",
    }


def test_only_the_name_of_the_secrets_file_is_in_any_document() -> None:
    properties = in_pod().properties
    assert {name: value for name, value in properties.items() if "secret" in name} == {
        "spark.authenticate.secret.file": "/ppml/secret/rpc"
    }


def test_sockets_have_short_paths_that_driver_and_executors_share() -> None:
    folder = str(shared_socket_folder(GENERATION))
    assert in_pod().properties["spark.python.unix.domain.socket.dir"] == folder
    assert on_host().properties["spark.python.unix.domain.socket.dir"] == folder
    assert len(folder) < 40


def test_template_is_the_frame_of_an_executor() -> None:
    document = json.loads(template_document(plan(), profile()))
    (container,) = document["spec"]["containers"]
    assert container["name"] == in_pod().properties["spark.kubernetes.executor.podTemplateContainerName"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts[in_pod().properties["spark.local.dir"]].startswith("spark-local-dir-")


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_api_server_of_a_pod(host: str, url: str) -> None:
    assert in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}) == url


def test_outside_a_cluster_there_is_none() -> None:
    with pytest.raises(ConfigError, match="KUBERNETES_SERVICE_HOST"):
        in_cluster({})

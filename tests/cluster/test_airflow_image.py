"""The image of Airflow in a pod with a read-only root file system and three volumes."""

import pytest

from ppml_ops.attestation.measure import runner_digest
from tests.support.cluster import restricted_pod

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def inside(cluster, namespace, airflow_image):
    """Runs a command in a pod of the image, as its own user."""
    pod = restricted_pod("airflow", airflow_image, ["/bin/sleep", "3600"])
    pod["spec"]["securityContext"] |= {"runAsUser": 50000, "runAsGroup": 0, "fsGroup": 0}
    for name in ("airflow", "ppml-ops"):
        pod["spec"]["volumes"].append({"name": name, "emptyDir": {}})
        pod["spec"]["containers"][0]["volumeMounts"].append({"name": name, "mountPath": f"/{name}"})
    cluster.run(namespace, pod)
    return lambda *command: cluster.exec(namespace, "airflow", *command)


def test_airflow_loads_the_dags_the_provider_and_the_policy(inside):
    """Nothing is written beside the code, and no DAG has an import error."""
    migrated = inside("airflow", "db", "migrate")
    assert migrated.code == 0, migrated.err
    listed = inside("airflow", "dags", "list", "--local", "-o", "plain")
    assert listed.code == 0 and "simple_query" in listed.out and "maintenance" in listed.out, listed.err
    assert inside("airflow", "dags", "list-import-errors", "--local").code == 0
    assert "ppml-ops" in inside("airflow", "providers", "list", "-o", "plain").out


def test_doctor_finds_what_client_mode_needs(inside):
    ran = inside("ppml-ops", "doctor", "spark")
    assert ran.code == 0, ran.out + ran.err


def test_the_runner_is_that_of_this_checkout(inside):
    code = "from ppml_ops.attestation.measure import runner_digest; print(runner_digest())"
    assert inside("/opt/ppml/bin/python3", "-I", "-c", code).out.strip() == runner_digest()


def test_the_workers_spark_starts(inside):
    """What client mode starts on the worker: Java, Spark's jars and ours."""
    code = """
from ppml_ops.spark.tools import installed_tools
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "512m")
    .config("spark.driver.extraClassPath", installed_tools().jar).getOrCreate())
print(spark._jvm.java.lang.Class.forName("io.github.ppmlops.spark.PpmlPlugin").getSimpleName())
"""
    ran = inside("/opt/ppml/bin/python3", "-I", "-c", code)
    assert ran.out.strip().endswith("PpmlPlugin"), ran.err


def test_no_simulator(inside):
    assert inside("/opt/ppml/bin/python3", "-I", "-c", "import ppml_sim").code != 0

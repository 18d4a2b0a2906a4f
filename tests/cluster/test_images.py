"""What is in the image of a TEE, seen from inside a pod of it; and that another build has the same content."""

import json

import pytest

from ppml_ops.attestation.measure import runner_digest
from tests.support.cluster import build_image, harness, restricted_pod

PYTHON = ["/opt/ppml/bin/python3", "-I", "-X", "pycache_prefix=/dev/null/pycache", "-c"]
WAIT = ["/bin/sleep", "3600"]
#: Digest of each file of the image; what the kubelet mounts into a container is left out.
LIST = """
import hashlib, json, os
root = os.stat("/").st_dev
found = {}
for folder, folders, names in os.walk("/"):
    folders[:] = [n for n in folders if os.lstat(os.path.join(folder, n)).st_dev == root]
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            found[path] = os.readlink(path)
        elif os.lstat(path).st_dev == root and os.path.isfile(path):
            try:
                with open(path, "rb") as file:
                    found[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except PermissionError:
                found[path] = str(os.stat(path).st_size)
print(json.dumps(found))
"""
SPARK = """
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "512m").getOrCreate())
print(spark.range(1000).selectExpr("sum(id) AS total").collect()[0].total)
spark.stop()
"""


@pytest.fixture(scope="module")
def pod(cluster, namespace, spark_image):
    """A pod of the image that waits."""
    cluster.run(namespace, restricted_pod("image", spark_image, WAIT))
    return "image"


@pytest.fixture
def inside(cluster, namespace, pod):
    """Run a command in the pod."""
    return lambda *command: cluster.exec(namespace, pod, *command)


def test_no_root_and_nothing_to_write(inside):
    assert inside("id", "-u").out.strip() == "185" and inside("id", "-g").out.strip() == "185"
    for place in ("/", "/opt/ppml", "/opt/ppml/lib/python3.11/site-packages/ppml_ops", "/opt/java", "/etc"):
        ran = inside("touch", f"{place}/x")
        assert ran.code != 0 and "Read-only file system" in ran.err, place


def test_no_file_belongs_to_the_user(inside):
    """Nor may it write to any: a pod with a writable root file system would still run what was built."""
    ran = inside("find", "/opt", "(", "-user", "185", "-o", "-perm", "/022", ")", "!", "-type", "l")
    assert ran.code == 0 and ran.out == ""


@pytest.mark.parametrize("name", ["javac", "jshell", "jlink", "gcc", "cc", "make", "pip", "pip3", "uv"])
def test_no_compilers_and_installers(inside, name):
    assert inside("sh", "-c", f"command -v {name} || ls /opt/java/bin/{name}").code != 0


def test_no_compiler_inside_the_java_runtime(inside):
    modules = inside("/opt/java/bin/java", "--list-modules").out
    assert "java.base@17" in modules and "jdk.unsupported@" in modules
    for name in ("jdk.compiler", "jdk.jshell", "jdk.jlink", "jdk.attach", "jdk.jdi"):
        assert f"{name}@" not in modules
    assert inside("/opt/java/bin/java", "-m", "jdk.compiler/com.sun.tools.javac.Main").code != 0


@pytest.mark.parametrize("name", ["ppml_sim", "pip", "setuptools", "wheel", "hatchling", "airflow", "uvicorn"])
def test_packages_that_are_not_there(inside, name):
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is not None)"
    assert inside(*PYTHON, code).code == 0
    assert inside("/usr/bin/env", "-i", "/opt/ppml/bin/python3", "-c", code).code == 0


def test_runner_digest_is_that_of_this_checkout(inside):
    ran = inside(*PYTHON, "from ppml_ops.attestation.measure import runner_digest; print(runner_digest())")
    assert ran.out.strip() == runner_digest(), ran.err


def test_tools_are_found(inside):
    code = (
        "import json; from importlib.metadata import version; from ppml_ops.spark.tools import installed_tools;"
        "print(json.dumps([version('ppml-ops'), installed_tools().java_home, installed_tools().spark_home]))"
    )
    ran = inside(*PYTHON, code)
    assert json.loads(ran.out) == ["0.1.0", "/opt/java", "/opt/ppml/lib/python3.11/site-packages/pyspark"]


def test_everything_of_a_tee_can_be_imported(inside):
    """The lock of the image is complete."""
    code = """
import importlib, pkgutil, ppml_ops.spark as package
names = [m.name for m in pkgutil.walk_packages(package.__path__, "ppml_ops.spark.")]
for name in [*names, "ppml_ops.broker.client", "ppml_ops.attestation.tsm", "ppml_ops.keys.local"]:
    importlib.import_module(name)
print(len(names))
"""
    ran = inside(*PYTHON, code)
    assert ran.code == 0 and int(ran.out) > 20, ran.err


def test_spark_runs(inside):
    ran = inside("/opt/ppml/bin/python3", "-I", "-c", SPARK)
    assert ran.out.strip().endswith("499500"), ran.err


@pytest.mark.long
def test_another_build_has_the_same_content(harness_cluster, cluster, namespace, inside, spark_image):
    """Nothing from the cache: other times, other build folders, packages fetched again; same base image."""
    again = f"{spark_image}-again"
    build_image("spark", again, "--no-cache")
    harness("load", again, timeout=600)
    cluster.run(namespace, restricted_pod("again", again, WAIT))
    lists = [
        json.loads(inside(*PYTHON, LIST).out),
        json.loads(cluster.exec(namespace, "again", *PYTHON, LIST).out),
    ]
    differing = [path for path in {*lists[0], *lists[1]} if lists[0].get(path) != lists[1].get(path)]
    assert len(lists[0]) > 1000 and differing == []

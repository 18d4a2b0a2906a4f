"""A profile with an object store: what it may say, and what it makes of pods, settings and command lines."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from pydantic import ValidationError

from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s.driver import check_client
from ppml_ops.spark.k8s.jvm import executor_argv
from ppml_ops.spark.k8s.launcher import store_binding
from ppml_ops.spark.k8s.objectstore import STORE_NODE
from ppml_ops.spark.k8s.pods import driver_pod, executor_template, node_pod
from ppml_ops.spark.k8s.render import pod_environment, render_pod_driver
from ppml_ops.spark.profiles import Profile
from ppml_ops.spark.sealedlog import log_path
from tests.unit.spark.builders import placement
from tests.unit.spark.k8s.pod_builders import executor_environment, plan, pod_job
from tests.unit.spark.k8s.profiles import cluster_profile
from tests.unit.spark.k8s.test_render import POD, TOOLS

STORE = {"url": "s3://bucket/a/b", "credentials": "store"}


def with_store(**changes: Any) -> Profile:
    return cluster_profile(topology="object-store", object_store=STORE | changes)


@pytest.mark.parametrize(
    "platform",
    [
        {"topology": "object-store"},
        {"object_store": STORE},
        {"topology": "object-store", "object_store": STORE, "mode": "client"},
        {"topology": "object-store", "object_store": STORE | {"url": "s3://bucket/../other"}},
        {"topology": "object-store", "object_store": STORE | {"url": "file:///tmp"}},
        {"topology": "object-store", "object_store": STORE | {"endpoint": "http://u:p@host"}},
        {"topology": "object-store", "object_store": STORE | {"secret_key": "x"}},
    ],
)
def test_what_a_profile_may_not_say(platform: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cluster_profile(**platform)


def test_no_process_sees_all_parts_of_a_job_by_right() -> None:
    """Written data sets stay those of spread jobs: nothing is published but by our commit protocol."""
    assert with_store().topology == cluster_profile().topology


def test_driver_and_executors_have_the_credentials_as_a_file_and_node_pods_have_not() -> None:
    for document in (driver_pod(plan(), with_store()), executor_template(plan(), with_store())):
        (volume,) = [one for one in document["spec"]["volumes"] if "secret" in one]
        assert volume["secret"] == {
            "secretName": "store",
            "items": [{"key": "credentials", "path": "credentials"}],
            "defaultMode": 0o440,
        }
        mounts = document["spec"]["containers"][0]["volumeMounts"]
        assert {"name": "store", "mountPath": "/ppml/store", "readOnly": True} in mounts
    assert "secret" not in str(node_pod(plan().run_key, with_store(), "n", "x", 1))
    assert "secretName" not in str(driver_pod(plan(), cluster_profile()))


def test_settings_name_the_store_and_no_credential() -> None:
    profile = with_store(endpoint="http://10.0.0.1:9000", region="eu-west-1", path_style=True)
    placed = placement(folder="/ppml/work/g", code="/ppml/work/g/code")
    made = render_pod_driver(pod_job(), profile, placed, TOOLS, plan(), POD)
    assert {name: value for name, value in made.properties.items() if ".s3a." in name} == {
        "spark.hadoop.fs.s3a.aws.credentials.provider": "software.amazon.awssdk.auth.credentials."
        "ProfileCredentialsProvider",
        "spark.hadoop.fs.s3a.buffer.dir": "/ppml/local/s3a",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.endpoint": "http://10.0.0.1:9000",
        "spark.hadoop.fs.s3a.endpoint.region": "eu-west-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
    }
    assert made.properties["spark.driver.extraClassPath"] == f"{TOOLS.jar}:/opt/ppml/share/hadoop-s3/*"
    assert made.environment["AWS_SHARED_CREDENTIALS_FILE"] == "/ppml/store/credentials"


def test_without_a_store_nothing_of_it_is_there() -> None:
    placed = placement(folder="/ppml/work/g", code="/ppml/work/g/code")
    made = render_pod_driver(pod_job(), cluster_profile(), placed, TOOLS, plan(), POD)
    assert "s3" not in f"{made.defaults()} {made.environment}"
    assert pod_environment(cluster_profile()) == {}


def test_executors_have_the_jars_before_sparks_own() -> None:
    argv = executor_argv(executor_environment(), TOOLS, PurePosixPath("/w/tmp"), store=True)
    expected = f"{TOOLS.jar}:/opt/ppml/share/hadoop-s3/*:{TOOLS.spark_home}/jars/*"
    assert argv[argv.index("-cp") + 1] == expected


def test_parts_lie_in_the_store_and_the_log_on_the_node() -> None:
    written = store_binding("result", "s3a://bucket/r/g1/result", "g1/result", spread=True)
    assert [(base.node, base.uri) for base in written.bases] == [(STORE_NODE, "s3a://bucket/r/g1/result")]
    assert log_path(written, "r-g1") == Path("/ppml/node/g1/result/_logs/r-g1.log")
    read = store_binding("people", "s3a://bucket/r/in/people", "in/people", spread=False)
    with pytest.raises(ConfigError, match="needs a file:// folder"):
        log_path(read, "r-g1")


def test_an_image_without_the_jars_is_named(tmp_path: Path) -> None:
    check_client(cluster_profile().platform, tmp_path / "none")
    check_client(with_store().platform, tmp_path)
    with pytest.raises(ConfigError, match="ppml-ops-spark:1 has no client of object stores"):
        check_client(with_store().platform, tmp_path / "none")

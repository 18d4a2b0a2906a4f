"""Parts in an S3 store: pods read and write it, gather is skipped, nothing stays there."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import ConfigError, IntegrityError, TransientError
from ppml_ops.lifecycle.cluster_backends import own_address
from ppml_ops.lifecycle.run import load_run
from ppml_ops.spark.k8s.objectstore import STORE_NODE
from tests.cluster.life_cycle.started import EXECUTORS, Started, proven
from tests.cluster.life_cycle.test_airflow import check_against_a_local_run, keys_of, ppml_ops
from tests.support import cluster as support
from tests.support.cluster_world import World
from tests.support.object_store import (
    BUCKET,
    CREDENTIALS_FILE,
    REGION,
    SECRET_KEY,
    objects,
    running_store,
    uploads,
)

ROWS, SEED = 400, 9


@pytest.fixture(scope="module")
def store(world: World, cluster: support.Cluster) -> Iterator[dict[str, object]]:
    """The fields `object_store` of a profile; the Secret with the credentials is in the namespace."""
    secret = {"metadata": {"name": "store"}, "stringData": {"credentials": CREDENTIALS_FILE}}
    cluster.core.create_namespaced_secret(world.namespace, secret)
    with running_store(own_address(world.api.transport.host)) as url:
        yield {
            "url": f"s3://{BUCKET}/runs",
            "credentials": "store",
            "endpoint": url,
            "region": REGION,
            "path_style": True,
        }
    cluster.core.delete_namespaced_secret("store", world.namespace)


@pytest.fixture(scope="module")
def profile(world: World, store: dict[str, object], spark_s3_image: str) -> str:
    """Name of a profile whose jobs use the store."""
    made = world.profile("k-store", topology="object-store", object_store=store, image=spark_s3_image)
    return made.name


def test_parts_stay_in_the_store_until_merge_takes_them(world: World, profile: str) -> None:
    day = "2024-05-01"
    summary = ppml_ops(
        world, "run", "simple_query", "--date", day, "-c", f"profile={profile}",
        "-c", f"rows={ROWS}", "-c", f"seed={SEED}",
    )  # fmt: skip
    assert summary["succeeded"] is True
    states = {one["name"]: one["state"] for one in summary["tasks"]}
    assert [state for name, state in states.items() if name.startswith("gather")] == ["skipped"], states
    (key,) = keys_of(world, day)
    run = load_run(world.home, key)
    assert run.records.facts("submit")["nodes"] == [STORE_NODE]
    assert run.records.facts("gather", STORE_NODE)["stays_in"] == f"s3://{BUCKET}/runs/{key}/g1"
    assert world.left(key) == []
    assert objects() == [], "clean_up has removed the run's folder"
    check_against_a_local_run(world, run, ROWS, SEED)


@pytest.mark.long
def test_what_lies_in_the_store_is_sealed_and_named_by_one_manifest(
    world: World, profile: str, day: date
) -> None:
    life = world.run(profile, day).to("submit")
    lying = objects()
    folder = life.run.nodes.folder(STORE_NODE, f"g1/{life.result}")
    manifest = DatasetStore(folder).read()
    assert {part.node for part in manifest.parts} == {STORE_NODE}
    assert sum(name.startswith(f"runs/{life.run.key}/g1/{life.result}/result/part-") for name in lying) == 2
    with pytest.raises(FileExistsError):
        folder.create_only(f"_manifest/{manifest.version}.json", b"another one")
    document = json.dumps(world.api.find("Pod", world.namespace, {"ppml-ops.io/run": life.run.key}))
    assert "store" in document
    assert SECRET_KEY not in document
    with folder.open_write(manifest.parts[0].path) as file:
        file.write(b"not what the job wrote")
    with pytest.raises(IntegrityError, match="is missing or not the one written"):
        life.to("gather")
    assert not life.tear_down().proven
    assert objects() == []


@pytest.mark.long
def test_a_killed_driver_leaves_nothing_in_the_store(world: World, profile: str, day: date, slow: Path) -> None:
    started = Started(world, world.run(profile, day, application=slow)).until(EXECUTORS)
    started.kill(started.driver())
    with pytest.raises(TransientError):
        started.end()
    life = started.life.to("submit")
    assert {name.split("/")[2] for name in objects()} >= {"in", "g2"}
    proven(world, life, generations_made=2)
    assert (objects(), uploads()) == ([], [])


def test_a_store_that_can_not_be_used_is_found_before_anything_is_made(
    world: World, store: dict[str, object], day: date
) -> None:
    world.profile("k-no-store", topology="object-store", object_store=store | {"url": "s3://nobody-has-it/x"})
    with pytest.raises(ConfigError, match=r"nobody-has-it.*: there is no such bucket"):
        world.run("k-no-store", day).to("preflight")


@pytest.mark.long
def test_an_image_without_the_client_says_so(world: World, store: dict[str, object], day: date) -> None:
    world.profile("k-plain-store", topology="object-store", object_store=store)
    life = world.run("k-plain-store", day)
    with pytest.raises(ConfigError, match="has no client of object stores"):
        life.to("submit")
    assert not life.tear_down().proven
    assert objects() == []

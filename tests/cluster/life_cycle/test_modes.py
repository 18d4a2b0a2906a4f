"""SimpleQuery on real nodes in every mode: the result of one host, a part on each node, nothing left."""

from datetime import date

from ppml_ops.datasets.manifest import Manifest
from ppml_ops.lifecycle.gather import result_manifests
from ppml_ops.lifecycle.nodes import WORKER_NODE
from tests.support.cluster_world import World
from tests.support.life_cycle import LifeCycle


def expected(world: World, day: date) -> object:
    """What the same run gives on this host."""
    here = LifeCycle(world.home, day, name="here", profile="local")
    assert here.finish().proven
    return sorted(here.result_rows())


def test_a_run_is_proven_and_equal_to_a_local_one(world: World, day: date, mode: str) -> None:
    life = world.run(f"k-{mode}", day).to("submit")
    facts = life.run.records.facts("submit")
    parts = {part.node for part in life_manifest(life).parts}
    nodes = set(life.run.nodes.names)
    assert len(nodes) >= 2 and parts == nodes, "each node has a part, and none has all"
    assert (facts["nodes"][0] == WORKER_NODE) == (mode == "client"), "the driver's node comes first"
    receipt = life.finish()
    assert receipt.proven
    assert sorted(life.result_rows()) == expected(world, day)
    assert world.left(life.run.key) == []


def life_manifest(life: LifeCycle) -> Manifest:
    """The result's manifest where the driver published it."""
    (manifest,) = result_manifests(life.run)
    return manifest

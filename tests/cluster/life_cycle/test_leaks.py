"""Keys, the secret between driver and executors, and cells of the data: nowhere in the cluster."""

import json
import os
import secrets
import string
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import yaml

from ppml_ops.keys.service import key_service_for
from ppml_ops.lifecycle.tickets import current_ticket, read_ticket
from ppml_ops.spark.k8s.kinds import KINDS
from ppml_ops.spark.k8s.podlogs import read_log
from ppml_ops.spark.k8s.secret import rpc_secret
from tests.cluster.life_cycle.started import EXECUTORS, Started
from tests.e2e.test_leaks import installation_canaries
from tests.support import cluster as support
from tests.support.cluster_world import World
from tests.support.leaks import Canary, Leak, in_bytes, in_file, in_processes
from tests.support.life_cycle import LifeCycle
from tests.support.people import AWKWARD, answer, read_rows, write_people

#: The simulated TEE's own secret, which is no secret of a run, and what reviews answer.
_NOT_LISTED = {"SelfSubjectAccessReview", "SelfSubjectReview", "SubjectAccessReview"}


def canaries(life: LifeCycle, generation: str, word: str) -> list[Canary]:
    """All that may not be seen."""
    found = installation_canaries(life.run.home)
    found.append(Canary("a cell", word.encode(), (life.run.home / "data",)))
    keys = {}
    for binding in read_ticket(life.run, current_ticket(life.run)).datasets:
        wrap = binding.wraps[0]
        key = key_service_for(wrap.ref, home=life.run.home).unwrap(wrap, binding.dataset)
        found.append(Canary(f"data key of {binding.dataset}", key))
        keys[binding.dataset] = key
    return [*found, Canary("RPC secret", rpc_secret(keys, generation))]


def documents(world: World) -> Iterator[tuple[str, bytes]]:
    """Everything that an administrator sees of the namespace, nodes and volumes, as YAML, and all pod logs."""
    for kind in sorted(set(KINDS) - _NOT_LISTED):
        for one in world.api.find(kind, world.namespace if KINDS[kind].namespaced else None):
            text = yaml.safe_dump(one) + json.dumps(one)
            yield f"{kind} {one['metadata']['name']}", text.encode()
    for pod in world.api.find("Pod", world.namespace):
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
        lines = read_log(world.api, world.namespace, name, container)
        yield f"log of {name}", "\n".join(line.text for line in lines).encode()


def on_disks(roots: list[Path], wanted: list[Canary], since: float) -> set[Leak]:
    """Changed files of the cluster's machines; folders in memory are other file systems and left out."""
    found: set[Leak] = set()
    for root in roots:
        device = root.stat().st_dev
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if os.lstat(Path(folder, name)).st_dev == device]
            for name in names:
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink() and path.stat().st_mtime >= since:
                    found |= set(in_file(path, wanted))
    return found


def test_nothing_secret_in_the_cluster(
    world: World, day: date, tmp_path: Path, harness_cluster: support.Cluster
) -> None:
    word = "".join(secrets.choice(string.ascii_letters) for _ in range(16))
    file = write_people(tmp_path / "people.csv", [(word, 30, "Developer"), *AWKWARD] * 20)
    begun = time.time() - 1
    life = world.run("k-cluster", day, source=str(file))
    started = Started(world, life).until(EXECUTORS)
    wanted = canaries(life, started.generation, word)
    leaks: list[Leak] = []
    for place, text in documents(world):
        leaks += in_bytes(text, wanted, place)
    leaks += in_processes(wanted)
    started.end()
    for place, text in documents(world):
        leaks += in_bytes(text, wanted, place)
    volume = Path(world.profile("k-cluster").platform.volume_path)
    leaks += on_disks([Path("/var/lib/kubebox"), volume], wanted, begun)
    assert life.finish().proven
    assert read_rows((life.run.plaintext / "result").rglob("*.csv")) == answer(read_rows([file]))
    assert leaks == []


def test_the_scan_would_find_them(world: World, day: date, tmp_path: Path) -> None:
    """A secret in a ConfigMap, and one on a disk."""
    secret = Canary("planted", secrets.token_bytes(32))
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "file").write_bytes(b"x" + secret.secret)
    world.api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "planted", "namespace": world.namespace},
            "data": {"key": secret.secret.hex()},
        }
    )
    try:
        places = {place for place, text in documents(world) if in_bytes(text, [secret], place)}
    finally:
        world.api.delete("ConfigMap", world.namespace, "planted")
    assert places == {"ConfigMap planted"}
    assert len(on_disks([tmp_path], [secret], 0)) == 1

"""Waiting for objects in a cluster, within limits."""

import time
from collections.abc import Callable

from ppml_ops.errors import TransientError
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.kinds import Object, named

GONE_SECONDS = 120.0
PAUSE_SECONDS = 0.5


def wait_for(done: Callable[[], bool], seconds: float) -> bool:
    """Whether it was so within that time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def gone(cluster: Cluster, obj: Object) -> None:
    """Delete it if it is there, and wait until it is gone."""
    key = (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
    if cluster.get(*key) is None:
        return
    cluster.delete(*key, grace=0 if obj["kind"] == "Pod" else None)
    if not wait_for(lambda: cluster.get(*key) is None, GONE_SECONDS):
        raise TransientError(f"{named(obj)} is not gone", next_step="look what holds it; try again")

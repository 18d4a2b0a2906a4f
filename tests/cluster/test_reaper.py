"""The reaper in a real cluster: what is over goes, what runs stays."""

from pathlib import Path
from typing import Any

import pytest

from ppml_ops.maintenance.reap import reapable
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.names import ROLE, generation_labels
from tests.support import cluster as support
from tests.support.cluster_site import plain_pod, wait_until

OVER, LIVING = "over-20261120-0123456789ab", "living-20261120-0123456789ab"


@pytest.fixture(scope="module")
def api(cluster: support.Cluster) -> Cluster:
    return Cluster(ClusterAccess(kubeconfig=Path(cluster.kubeconfig)))


def test_what_is_over_goes_and_what_runs_stays(
    api: Cluster, namespace: str, spark_image: str, tmp_path: Path
) -> None:
    def pod(key: str, seconds: int) -> dict[str, Any]:
        labels = generation_labels(key, f"{key}-g1") | {ROLE: "driver"}
        python = ["/opt/ppml/bin/python3", "-I", "-c", f"import time; time.sleep({seconds})"]
        made = plain_pod(namespace, f"{key}-g1-driver", spark_image, python)
        made["metadata"]["labels"] = labels
        return made

    for key, seconds in ((OVER, 0), (LIVING, 3600)):
        api.create(pod(key, seconds))
        meta = {"name": f"{key}-g1", "namespace": namespace, "labels": generation_labels(key, f"{key}-g1")}
        api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    stranger = {"name": "stranger", "namespace": namespace}
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": stranger})
    wait_until(lambda: api.get("Pod", namespace, f"{OVER}-g1-driver")["status"]["phase"] == "Succeeded")

    assert list(reapable(api, namespace, tmp_path, hours=1)) == []
    found = list(reapable(api, namespace, tmp_path, hours=0))
    assert [one.kind for one in found] == ["driver Pod", "ConfigMap"]
    assert [one.remove() for one in found] == [True, True]
    wait_until(lambda: api.get("Pod", namespace, f"{OVER}-g1-driver") is None)
    assert api.get("ConfigMap", namespace, f"{OVER}-g1") is None
    assert api.get("ConfigMap", namespace, f"{LIVING}-g1") is not None
    assert api.get("ConfigMap", namespace, "stranger") is not None
    assert list(reapable(api, namespace, tmp_path, hours=0)) == []

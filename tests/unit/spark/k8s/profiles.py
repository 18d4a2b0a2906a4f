"""Profiles for tests of what is made in a cluster."""

from typing import Any

from ppml_ops.spark.profiles import Profile


def cluster_profile(device: str = "none", **kubernetes: Any) -> Profile:
    """A profile with two executors in the namespace `w`."""
    return Profile.model_validate(
        {
            "name": "w",
            "title": "Test",
            "launcher": "kubernetes",
            "tee": "none" if device == "none" else "tdx",
            "device": device,
            "kubernetes": {"namespace": "w", "image": "ppml-ops-spark:1"} | kubernetes,
        }
    )


def node(name: str = "n1", **parts: Any) -> dict[str, Any]:
    """A node as the API describes it; ready unless `ready=False`."""
    ready = "True" if parts.pop("ready", True) else "False"
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": parts.pop("labels", {})},
        "spec": parts.pop("spec", {}),
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "allocatable": {"cpu": "2", "memory": "8Gi"},
            "images": [{"names": ["docker.io/library/ppml-ops-spark:1"]}],
        }
        | parts,
    }

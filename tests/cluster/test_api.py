"""Logs, streams and server-side apply against a real API server."""

from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.execstream import StreamEndedError, open_exec
from ppml_ops.spark.k8s.podlogs import read_log
from ppml_ops.spark.k8s.trouble import is_over
from tests.support.cluster_site import Proxy, plain_pod, wait_until

PYTHON = ["/opt/ppml/bin/python3", "-I", "-u", "-c"]


def start(api: Cluster, namespace: str, image: str, name: str, code: str) -> str:
    """A pod that runs this; the name of its container."""
    made = plain_pod(namespace, name, image, [*PYTHON, code])
    api.create(made)
    return str(made["spec"]["containers"][0]["name"])


def test_a_log_is_read_to_its_end_over_a_cut(
    api: Cluster, namespace: str, spark_image: str, tmp_path: Path
) -> None:
    """More than fits on the way, so that the cut is in the middle of it."""
    code = "for n in range(60_000): print('line', n, 'x' * 100)"
    container = start(api, namespace, spark_image, "talker", code)
    wait_until(lambda: is_over(api.get("Pod", namespace, "talker") or {}))
    proxy = Proxy(api, tmp_path)
    seen: list[str] = []
    since, cuts = "", 0
    try:
        while len(seen) < 60_000:
            for line in read_log(Cluster(proxy.access), namespace, "talker", container, since=since):
                since = line.at
                seen.append(line.text)
                if len(seen) == 20:
                    proxy.cut()
                    proxy.mend()
            cuts += len(seen) < 60_000
    finally:
        proxy.close()
    assert cuts == 1
    assert [line.split()[1] for line in seen] == [str(number) for number in range(60_000)]


def test_a_stream_says_how_its_command_ended(api: Cluster, namespace: str, spark_image: str) -> None:
    container = start(api, namespace, spark_image, "sleeper", "import time; time.sleep(3600)")
    wait_until(lambda: api.get("Pod", namespace, "sleeper")["status"]["phase"] == "Running")
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read(5)); sys.exit('no more')"
    with open_exec(api.transport, namespace, "sleeper", container, [*PYTHON, code]) as stream:
        stream.send(b"\0\1\2\xff\n")
        assert stream.receive(5) == b"\0\1\2\xff\n"
        with pytest.raises(StreamEndedError, match=r"exit code 1; it said: no more"):
            stream.receive(1)


def test_a_stream_to_a_pod_that_is_not_there_is_refused(api: Cluster, namespace: str) -> None:
    with pytest.raises(ConfigError, match="not found"):
        open_exec(api.transport, namespace, "nobody", "node", ["true"])


def test_applying_shows_what_would_be_and_changes_nothing_dry(api: Cluster, namespace: str) -> None:
    meta = {"name": "settings", "namespace": namespace}
    first = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}}
    assert api.apply(first, dry_run=True)["data"] == {"a": "1"}
    assert api.get("ConfigMap", namespace, "settings") is None
    api.apply(first)
    assert api.apply(first | {"data": {"b": "2"}})["data"] == {"b": "2"}
    with pytest.raises(ConfigError, match="field not declared"):
        api.apply(first | {"dota": {}})


def test_a_misspelled_pod_is_refused(api: Cluster, namespace: str, spark_image: str) -> None:
    made = plain_pod(namespace, "wrong", spark_image, ["true"])
    made["spec"]["restartPolice"] = "Never"
    with pytest.raises(ConfigError, match="restartPolice"):
        api.create(made)


def test_who_and_what(api: Cluster) -> None:
    assert api.server_version().startswith("v1.")
    assert api.whoami() != "unknown"
    assert api.may("create", "pods", "default", sub="exec")
    assert api.serves("Pod")

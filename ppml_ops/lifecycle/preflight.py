"""preflight (orchestrator): find what is missing before anything is made, and name the remedy."""

import os
import shutil

from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.preflight_cluster import check_cluster
from ppml_ops.lifecycle.run import Run, unwritable
from ppml_ops.receipts.records import Facts
from ppml_ops.spark.jvm.build import find_java, jar_path
from ppml_ops.spark.platform_client import PlatformClient, platform_socket

#: Less than this and a run would die half-way with a full disk.
MIN_FREE_BYTES = 256 << 20


def preflight(run: Run, facts: Facts) -> None:
    """Check Java, the Spark jar, the broker, the platform or cluster, and the folders of state and nodes.

    Raises:
        ConfigError: with the first thing that is missing and how to get it.
        TransientError: the broker or the platform does not answer.
    """
    on_host = run.profile.launcher == "local" or run.profile.platform.mode == "client"
    if on_host:
        facts["java"] = str(find_java())
    facts["jar"] = jar_path().name
    info = broker_client(run.home, run.broker).info()
    facts.update(trust_domain=info.trust_domain, simulated=info.simulated)
    if run.profile.launcher == "kubernetes":
        check_cluster(run, facts)
    if run.profile.device == "socket" and on_host:
        status = PlatformClient(platform_socket(run.home)).status()
        if status.trust_domain != info.trust_domain:
            raise ConfigError(
                "the broker and the simulated platform belong to different trust domains",
                next_step="use the state folder that the broker was made for, or start with a new one",
            )
    for folder in (run.folder, run.home / "nodes", *(run.home / "nodes" / node for node in run.profile.nodes)):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise unwritable(folder, error) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise unwritable(folder, PermissionError(13, "Permission denied"))
    free = shutil.disk_usage(run.home).free
    if free < MIN_FREE_BYTES:
        raise ConfigError(
            f"only {free >> 20} MiB are free on the disk of {run.home}",
            next_step="free some space, or set PPML_OPS_HOME to a larger disk",
        )
    facts["free_bytes"] = free

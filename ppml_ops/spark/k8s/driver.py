"""The driver's pod: keys, secret, Spark's settings, spark-submit; all inside the TEE."""

import re
from collections.abc import Mapping
from pathlib import Path

from ppml_ops.errors import ConfigError
from ppml_ops.files import write_private
from ppml_ops.spark.driving import drive, prepare
from ppml_ops.spark.inside import Voice, enter_td, keys_of, outputs
from ppml_ops.spark.k8s.arrival import Arrived, td_name
from ppml_ops.spark.k8s.objectstore import JARS
from ppml_ops.spark.k8s.platform import KubernetesPlatform
from ppml_ops.spark.k8s.render import (
    RPC_SECRET,
    TEMPLATE,
    Cluster,
    in_cluster,
    render_pod_driver,
    template_document,
)
from ppml_ops.spark.k8s.secret import rpc_secret, write_secret
from ppml_ops.spark.render import Tools
from ppml_ops.spark.tools import make_socket_folder, shared_socket_folder

#: What the client inside the JVM needs to find the API server; its token is a mounted file.
_CLUSTER_VARIABLES = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
_APPLICATION_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_client(platform: KubernetesPlatform, jars: Path = Path(JARS)) -> None:
    """Raises ConfigError when this image can't use the object store of the profile."""
    if platform.object_store is not None and not jars.is_dir():
        raise ConfigError(
            f"image {platform.image} has no client of object stores",
            next_step="build the image spark-s3 (docs/images.md) and name it in the profile",
        )


def run_driver(arrived: Arrived, tools: Tools, environment: Mapping[str, str], say: Voice) -> int:
    """From arrival to the end of the application; returns the exit code.

    Raises:
        PpmlError: before Spark started, or for files that no manifest lists.
    """
    api_server = in_cluster(environment)
    check_client(arrived.work.profile.platform)
    work = enter_td(arrived.work, td_name(arrived))
    bundle = keys_of(work)
    say(f"keys released to driver {arrived.pod_name}")
    written = outputs(work, bundle)
    write_secret(Path(RPC_SECRET), rpc_secret(bundle.data_keys, arrived.plan.generation))
    make_socket_folder(shared_socket_folder(arrived.plan.generation))
    given = environment.get("SPARK_APPLICATION_ID", "")
    cluster = Cluster(
        api_server,
        arrived.address,
        arrived.pod_name,
        given if _APPLICATION_ID.fullmatch(given) else None,
    )
    placement = work.config.placement(str(work.folder))
    submission = render_pod_driver(work.job, work.profile, placement, tools, arrived.plan, cluster)
    submission.environment.update({name: environment[name] for name in _CLUSTER_VARIABLES})
    prepare(work, submission)
    write_private(work.folder / "work" / TEMPLATE, template_document(arrived.plan, work.profile))
    return drive(work, written, submission, Path(tools.spark_home), say, clear=bundle.clear_logs)

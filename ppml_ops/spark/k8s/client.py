"""Client mode: the driver is a process tree on the host of the worker, its executors are pods."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir, write_private
from ppml_ops.spark.inside import Work
from ppml_ops.spark.k8s.arrival import read_plan
from ppml_ops.spark.k8s.plan import PODS
from ppml_ops.spark.k8s.render import (
    TEMPLATE,
    Cluster,
    in_cluster,
    render_client_driver,
    template_document,
)
from ppml_ops.spark.k8s.secret import rpc_secret, write_secret
from ppml_ops.spark.render import Submission, Tools
from ppml_ops.spark.tools import make_socket_folder, shared_socket_folder

#: Of a user in a kubeconfig: what clients run to get a token.
_COMMANDS = frozenset({"exec", "auth-provider"})
_PASSED_ON = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")


def client_submission(
    work: Work, tools: Tools, keys: Mapping[str, bytes], environment: Mapping[str, str]
) -> Submission:
    """What starts the driver here; writes the secret and the executors' template beside it.

    Args:
        work: its folder has pods.json.
        tools: of this host.
        keys: data keys of all data sets.
        environment: says where the cluster is: KUBECONFIG, or what every pod has.

    Raises:
        ConfigError: pods.json or the kubeconfig is missing or not valid.
    """
    plan = read_plan(work.folder / PODS)
    if plan.driver_address is None:
        raise ConfigError(
            "pods.json has no address under which executors reach this driver",
            next_step="set the worker's address in the profile or the environment, then begin a new generation",
        )
    for name in ("", "conf"):
        private_dir(work.folder / "work" / name)
    make_socket_folder(shared_socket_folder(plan.generation))
    write_secret(work.folder / "work" / "rpc", rpc_secret(keys, plan.generation))
    write_private(work.folder / "work" / TEMPLATE, template_document(plan, work.profile))
    cluster = Cluster(api_server(environment), plan.driver_address)
    placement = work.config.placement(str(work.folder))
    submission = render_client_driver(work.job, work.profile, placement, tools, plan, cluster)
    submission.environment.update({name: environment[name] for name in _PASSED_ON if environment.get(name)})
    return submission


def api_server(environment: Mapping[str, str]) -> str:
    """Address of the API server: of the kubeconfig's current context, else of the cluster this process is in.

    Raises:
        ConfigError: neither is there, the kubeconfig is not valid, or its user names a command to run.
    """
    if not (kubeconfig := environment.get("KUBECONFIG")):
        return in_cluster(environment)
    try:
        document = yaml.safe_load(Path(kubeconfig).read_bytes())
        context = _only(document, "context", document["current-context"])
        server = str(_only(document, "cluster", context["cluster"])["server"]).rstrip("/")
        commands = _COMMANDS & set(_only(document, "user", context["user"]) or ())
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the kubeconfig {kubeconfig} can't be used ({type(error).__name__})",
            next_step="give the path of a kubeconfig with a current context in KUBECONFIG",
        ) from None
    if commands:
        raise ConfigError(
            f"the user of the kubeconfig {kubeconfig} has {' and '.join(sorted(commands))}, which would run "
            "a command inside the TEE",
            next_step="give a kubeconfig with a token or a client certificate in KUBECONFIG",
        )
    return server


def _only(document: Any, kind: str, name: object) -> Any:
    """The entry with that name; of two, Spark's client might take the other one. Raises ValueError."""
    (found,) = [one[kind] for one in document[f"{kind}s"] if one["name"] == name]
    return found

"""`ppml-ops spark`: what a job looks like to Spark and to a cluster, before anything is started."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ppml_ops.cli.options import home
from ppml_ops.errors import ConfigError
from ppml_ops.spark.job import SparkJob, parse_job

app = typer.Typer(help="Spark jobs as they are submitted.", no_args_is_help=True)


class Form(StrEnum):
    """What to render."""

    argv = "argv"
    pods = "pods"
    sparkapplication = "sparkapplication"


@app.callback()
def group() -> None:
    """Spark jobs as they are submitted."""


@app.command()
def render(
    job: Annotated[Path, typer.Argument(help="A SparkJob, such as the job.json in the folder of a run.")],
    form: Annotated[Form, typer.Option("--as", help="argv: spark-submit and its settings.")],
    profile: Annotated[str | None, typer.Option(help="Default: the job's own.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Nodes of the cluster.")] = None,
    generation: Annotated[str, typer.Option(help="Name of the try.")] = "example-20260101-0123456789ab-g1",
) -> None:
    """Print what would be submitted: settings and command line, or the documents for the cluster as YAML.

    Nothing is secret in it, and nothing of it decides what runs: settings are made anew inside the TEE.
    """
    import yaml

    from ppml_ops.spark.k8s.application import spark_application
    from ppml_ops.spark.k8s.plan import PodPlan
    from ppml_ops.spark.k8s.pods import driver_pod, executor_template
    from ppml_ops.spark.profiles import load_profile
    from ppml_ops.spark.tools import spark_version

    document = _read(job)
    wanted = load_profile(profile or document.profile, home() / "profiles")
    plan = PodPlan(
        run_key=generation.rpartition("-g")[0],
        generation=generation,
        code_pieces=1,
        nodes=tuple(node or ["node-1", "node-2"]),
        driver_address="192.0.2.1",
    )
    if form is Form.argv:
        typer.echo(_submission(document, wanted, plan), nl=False)
        return
    if form is Form.sparkapplication:
        documents: Iterable[dict[str, Any]] = [spark_application(plan, wanted, spark_version())]
    else:
        own = [] if wanted.platform.mode == "client" else [driver_pod(plan, wanted)]
        documents = [*own, executor_template(plan, wanted)]
    typer.echo(yaml.safe_dump_all(documents, sort_keys=False), nl=False)


def _submission(job: SparkJob, profile: Any, plan: Any) -> str:
    """spark-submit's settings and command line, as a text to read and to compare."""
    from ppml_ops.spark.k8s.plan import WORK_FOLDER
    from ppml_ops.spark.k8s.render import Cluster, render_client_driver, render_pod_driver
    from ppml_ops.spark.placement import Base, Binding, Placement
    from ppml_ops.spark.render import render_local
    from ppml_ops.spark.tools import installed_tools

    folder = f"{WORK_FOLDER}/g"
    bindings = tuple(
        Binding(dataset=one.dataset, bases=(Base(node="here", uri=f"file:///ppml/node/{one.dataset}"),))
        for one in job.datasets
    )
    placement = Placement(
        generation=plan.generation,
        folder=folder,
        code=f"{folder}/code",
        ticket="/ppml/generation/ticket.jws",
        broker_url="https://broker.example:8443",
        broker_ca="/ppml/generation/broker-ca.pem",
        bindings=bindings,
        versions=dict.fromkeys(job.written, 1),
    )
    tools = installed_tools()
    if profile.launcher == "local":
        made = render_local(job, profile, placement, tools, sockets="/tmp/ppml")  # noqa: S108  # an example
    elif profile.platform.mode == "client":
        cluster = Cluster("https://kubernetes.example:6443", plan.driver_address)
        made = render_client_driver(job, profile, placement, tools, plan, cluster)
    else:
        cluster = Cluster("https://kubernetes.default.svc", "${POD_IP}", f"{plan.generation}-driver")
        made = render_pod_driver(job, profile, placement, tools, plan, cluster)
    return "".join(f"# {line}\n" for line in made.defaults().splitlines()) + " ".join(made.argv) + "\n"


def _read(path: Path) -> SparkJob:
    try:
        return parse_job(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror}",
            next_step="give the path of a job.json; `ppml-ops run` leaves one in the folder of each run",
        ) from None

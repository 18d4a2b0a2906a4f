"""Where a generation finds its code, ticket, broker and bytes: as processes of this host see it, or pods."""

from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.promise import written_by
from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.broker_access import broker_endpoint
from ppml_ops.lifecycle.generations import Generation
from ppml_ops.lifecycle.inputs import hadoop_uri, input_store
from ppml_ops.lifecycle.tickets import read_ticket, ticket_path
from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.k8s.launcher import pod_binding, store_binding
from ppml_ops.spark.k8s.objectstore import STORE_NODE
from ppml_ops.spark.placement import Base, Binding, Placement


def host_placement(generation: Generation, job: SparkJob, nodes: tuple[str, ...]) -> Placement:
    """For a process tree on this host that sees the folders of `nodes`.

    When the job's data is spread, its tasks run elsewhere, and it publishes parts that it can't see.
    """
    run = generation.run
    in_place = run.records.facts("issue_ticket")["in_place"]

    def folder(dataset: str, mode: str, node: str) -> AnyFolder:
        if mode == "read" and dataset in in_place:
            return input_store(run, dataset, in_place).folder
        here = run.nodes.folder(node, f"in/{dataset}") if mode == "read" else generation.output(node, dataset)
        here.local().mkdir(parents=True, exist_ok=True, mode=0o700)
        return here

    def binding(dataset: str, mode: str) -> Binding:
        bases = [Base(node=node, uri=hadoop_uri(folder(dataset, mode, node))) for node in nodes]
        return Binding(dataset=dataset, bases=tuple(bases), spread=mode == "write" and job.spread)

    return _placement(generation, job, tuple(binding(item.dataset, item.mode) for item in job.datasets))


def pod_placement(generation: Generation, job: SparkJob) -> Placement:
    """For pods: each sees the folder of its own node.

    Raises:
        ConfigError: an input is to be read where it lies, and that is out of the pods' reach.
    """
    run = generation.run
    in_place = run.records.facts("issue_ticket")["in_place"]
    shared = run.profile.platform.shared

    def binding(dataset: str, mode: str) -> Binding:
        if mode == "read" and dataset in in_place:
            folder = input_store(run, dataset, in_place).folder
            if folder.is_local:
                raise ConfigError(
                    f"{dataset} is to be read in {folder}, a folder of this host, which pods can't see",
                    next_step="leave `in_place` out for it, or move it to storage that the pods reach",
                    who="the author of the DAG",
                )
            return Binding(dataset=dataset, bases=(Base(node="storage", uri=hadoop_uri(folder)),))
        where = f"in/{dataset}" if mode == "read" else f"g{generation.number}/{dataset}"
        spread = mode == "write" and job.spread
        if run.profile.platform.object_store is not None:
            there = hadoop_uri(run.nodes.folder(STORE_NODE, where))
            return store_binding(dataset, there, where, spread=spread)
        return pod_binding(dataset, where, shared=shared, spread=spread)

    return _placement(generation, job, tuple(binding(item.dataset, item.mode) for item in job.datasets))


def _placement(generation: Generation, job: SparkJob, bindings: tuple[Binding, ...]) -> Placement:
    run = generation.run
    url, ca = broker_endpoint(run.home, run.broker)
    return Placement(
        generation=generation.name,
        folder=str(generation.folder),
        code=str(run.records.facts("issue_ticket")["application"]),
        ticket=str(ticket_path(run, generation.ticket)),
        broker_url=url,
        broker_ca=str(ca),
        bindings=bindings,
        versions={output.dataset: output.version for output in written_by(read_ticket(run, generation.ticket))},
    )

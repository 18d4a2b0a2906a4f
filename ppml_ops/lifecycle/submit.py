"""submit (orchestrator): run the job in the TEE, once per generation, and follow it to its end.

A retry adopts a generation that lives or has ended well under the current ticket; only when the former one is
dead does a new one begin.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ppml_ops.broker.tickets import WriteBinding
from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.promise import keeps_promise, written_by
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import IntegrityError, PpmlError
from ppml_ops.files import file_lock
from ppml_ops.lifecycle.broker_access import broker_client, broker_endpoint
from ppml_ops.lifecycle.distribute import place_inputs
from ppml_ops.lifecycle.evidence import keep_releases
from ppml_ops.lifecycle.generations import Generation, begin, generations
from ppml_ops.lifecycle.inputs import hadoop_uri, input_store
from ppml_ops.lifecycle.logs import keep_sealed_logs
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, read_ticket, ticket_path
from ppml_ops.receipts.records import Facts
from ppml_ops.spark.job import SparkJob, parse_job
from ppml_ops.spark.launcher import LocalLauncher
from ppml_ops.spark.placement import Base, Binding, Placement
from ppml_ops.spark.platform_client import platform_socket
from ppml_ops.spark.running import EXIT, Running


class Submitted(NamedTuple):
    """A generation that has published its results on the nodes."""

    generation: str
    manifests: tuple[Manifest, ...]
    nodes: tuple[str, ...]


def submit(
    run: Run,
    facts: Facts,
    *,
    on_line: Callable[[str], None],
    started: Callable[[Running], None] = lambda _running: None,
) -> Submitted:
    """Start or adopt the run's job and wait for it.

    Args:
        on_line: gets the life-cycle lines of Spark; none of what user code prints.
        started: gets the handle by which the job can be stopped.

    Raises:
        ConfigError: attest has not finished in this run; setting its state by hand is no verdict.
        IntegrityError: what lies on the node afterwards is not what the ticket lets the job write.
        PpmlError: as the job ended: denied, integrity, configuration, workload, transient.
    """
    run.records.facts("attest")
    jti = current_ticket(run)
    promised = written_by(read_ticket(run, jti))
    job = parse_job(run.job_file.read_bytes())
    place_inputs(run, lambda _done: None)
    launcher = LocalLauncher(
        run.profile,
        platform_socket=platform_socket(run.home) if run.profile.device == "socket" else None,
        on_line=on_line,
    )
    with file_lock(run.folder / "generations.lock"):
        generation, adopted = _adopt_or_begin(run, jti)
        placement = _placement(run, job, generation)
        running = launcher.attach(job, placement) if adopted else launcher.launch(job, placement)
    facts.update(ticket=jti, generation=generation.name, adopted=adopted, job_digest=job.job_digest)
    started(running)
    try:
        outcome = running.wait()
    except PpmlError:
        with suppress(PpmlError, OSError):  # the job's own failure is the one to show
            _after_the_job(run, running, promised[0].dataset, facts)
        raise
    _after_the_job(run, running, promised[0].dataset, facts)
    manifests = tuple(_published(run, generation, binding) for binding in promised)
    facts.update(
        results={manifest.dataset: manifest.digest for manifest in manifests},
        versions={manifest.dataset: manifest.version for manifest in manifests},
        parts=sum(len(manifest.parts) for manifest in manifests),
        nodes=list(run.profile.nodes),
        seconds=round(outcome.seconds, 3),
    )
    return Submitted(generation.name, manifests, run.profile.nodes)


def _published(run: Run, generation: Generation, promised: WriteBinding) -> Manifest:
    """What the job published of one data set, on the driver's node."""
    node = run.profile.nodes[0]
    manifest = DatasetStore(generation.output(node, promised.dataset)).read()
    if not keeps_promise(manifest, promised):
        raise IntegrityError(
            f"what lies on node {node} is not the {promised.dataset} that the ticket lets the job write",
            next_step="find out who writes to the node's folder, then clear `submit`",
            who="the operator",
        )
    return manifest


def _after_the_job(run: Run, running: Running, dataset: str, facts: Facts) -> None:
    """Keep the sealed logs, and what the broker signed about its releases to this ticket."""
    keep_sealed_logs(run, dataset)
    facts["application"] = running.outcome.application_id if running.outcome else None
    records = broker_client(run.home, run.broker).releases(str(facts["ticket"]))
    keep_releases(run, str(facts["ticket"]), records)
    facts["releases"] = [record.digest for record in records]
    if records:
        facts["measurements"] = records[-1].body.get("measurements")
        facts["policies"] = records[-1].body.get("policies")


def _adopt_or_begin(run: Run, jti: str) -> tuple[Generation, bool]:
    """The last generation if it lives or has ended well under this ticket; else a new one, the others ended."""
    former = generations(run)
    if former and former[-1].ticket == jti and (former[-1].alive or _succeeded(former[-1])):
        return former[-1], True
    for generation in former:
        generation.end()
    return begin(run, jti), False


def _succeeded(generation: Generation) -> bool:
    """It ended with exit code 0 and its results still lie on the first node."""
    with suppress(OSError, ValueError, KeyError):
        if json.loads((generation.folder / EXIT).read_bytes())["exit_code"] == 0:
            node = generation.run.profile.nodes[0]
            return all(
                output.version in DatasetStore(generation.output(node, output.dataset)).versions()
                for output in written_by(read_ticket(generation.run, generation.ticket))
            )
    return False


def _placement(run: Run, job: SparkJob, generation: Generation) -> Placement:
    url, ca = broker_endpoint(run.home, run.broker)
    claims = read_ticket(run, generation.ticket)
    issued = run.records.facts("issue_ticket")

    def folder(dataset: str, mode: str, node: str) -> AnyFolder:
        if mode == "read" and dataset in issued["in_place"]:
            return input_store(run, dataset, issued["in_place"]).folder
        here = run.on_node(node, f"in/{dataset}") if mode == "read" else generation.output(node, dataset)
        Path(here.root).mkdir(parents=True, exist_ok=True, mode=0o700)
        return here

    def binding(dataset: str, mode: str) -> Binding:
        bases = [Base(node=node, uri=hadoop_uri(folder(dataset, mode, node))) for node in run.profile.nodes]
        return Binding(dataset=dataset, bases=tuple(bases))

    return Placement(
        generation=generation.name,
        folder=str(generation.folder),
        code=str(issued["application"]),
        ticket=str(ticket_path(run, generation.ticket)),
        broker_url=url,
        broker_ca=str(ca),
        bindings=tuple(binding(item.dataset, item.mode) for item in job.datasets),
        versions={output.dataset: output.version for output in written_by(claims)},
    )

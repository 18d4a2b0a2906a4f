"""submit (orchestrator): run the job in the TEE, once per generation, and follow it to its end.

A retry adopts a generation that lives or has ended well under the current ticket; only when the former one is
dead does a new one begin.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from ppml_ops.broker.tickets import WriteBinding
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.promise import keeps_promise, written_by
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.topology import held
from ppml_ops.errors import IntegrityError, PpmlError
from ppml_ops.files import file_lock
from ppml_ops.lifecycle.backends import Backend, Handle, backend_of
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.distribute import place_inputs
from ppml_ops.lifecycle.evidence import keep_releases
from ppml_ops.lifecycle.generations import Generation, begin, generations
from ppml_ops.lifecycle.logs import keep_sealed_logs
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, read_ticket
from ppml_ops.receipts.records import Facts
from ppml_ops.spark.job import SparkJob, parse_job
from ppml_ops.spark.outcome import unpublished


class Submitted(NamedTuple):
    """A generation that has published its results on the nodes."""

    generation: str
    manifests: tuple[Manifest, ...]
    nodes: tuple[str, ...]


class Begun(NamedTuple):
    """A generation whose driver was made, now or before."""

    generation: Generation
    job: SparkJob
    running: Handle


def submit(
    run: Run,
    facts: Facts,
    *,
    on_line: Callable[[str], None],
    started: Callable[[Handle], None] = lambda _running: None,
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
    begun = begin_or_adopt(run, facts, on_line)
    generation, job, running = begun.generation, begun.job, begun.running
    promised = written_by(read_ticket(run, generation.ticket))
    started(running)
    try:
        outcome = running.wait()
    except PpmlError:
        with suppress(PpmlError, OSError):  # the job's own failure is the one to show
            _after_the_job(run, running, promised[0].dataset, facts)
        raise
    _after_the_job(run, running, promised[0].dataset, facts)
    driver = str(generation.driver_node)
    if error := unpublished(
        job,
        {binding.dataset: binding.version for binding in promised},
        lambda dataset: generation.output(driver, dataset),
    ):
        raise error
    manifests = tuple(_published(generation, driver, binding) for binding in promised)
    nodes = (driver, *(node for node in run.nodes.placed if node != driver))
    facts.update(
        results={manifest.dataset: manifest.digest for manifest in manifests},
        versions={manifest.dataset: manifest.version for manifest in manifests},
        parts=sum(len(manifest.parts) for manifest in manifests),
        nodes=list(nodes),
        seconds=round(outcome.seconds, 3),
    )
    return Submitted(generation.name, manifests, nodes)


def begin_or_adopt(run: Run, facts: Facts, on_line: Callable[[str], None]) -> Begun:
    """Start the run's job, or find it started. Raises as `submit`."""
    run.records.facts("attest")
    jti = current_ticket(run)
    job = parse_job(run.job_file.read_bytes())
    backend = backend_of(run)
    with file_lock(run.folder / "generations.lock"):
        generation, adopted = _adopt_or_begin(run, backend, jti)
        if adopted:
            running = backend.follow(generation, job, on_line)
        else:
            place_inputs(run, lambda _done: None)
            running = backend.start(generation, job, on_line)
    facts.update(ticket=jti, generation=generation.name, adopted=adopted, job_digest=job.job_digest)
    return Begun(generation, job, running)


def _published(generation: Generation, node: str, promised: WriteBinding) -> Manifest:
    """What the job published of one data set, on the driver's node."""
    manifest = DatasetStore(generation.output(node, promised.dataset)).read()
    if not keeps_promise(manifest, promised):
        raise IntegrityError(
            f"what lies on node {node} is not the {promised.dataset} that the ticket lets the job write",
            next_step="find out who writes to the node's folder, then clear `submit`",
            who="the operator",
        )
    return manifest


def _after_the_job(run: Run, running: Handle, dataset: str, facts: Facts) -> None:
    """Keep the sealed logs, and what the broker signed about its releases to this ticket."""
    if silent := keep_sealed_logs(run, dataset):
        facts["logs_missing_of"] = silent
    facts["application"] = running.outcome.application_id if running.outcome else None
    records = broker_client(run.home, run.broker).releases(str(facts["ticket"]))
    keep_releases(run, str(facts["ticket"]), records)
    facts["releases"] = [record.digest for record in records]
    if records:
        facts["measurements"] = records[-1].body.get("measurements")
        facts["policies"] = records[-1].body.get("policies")


def _adopt_or_begin(run: Run, backend: Backend, jti: str) -> tuple[Generation, bool]:
    """The last generation, if it lives or has ended well under this ticket, and whether it was started before.

    Else a new one, when the others are proven dead. An intent that nothing has come of is used again.
    """
    former = generations(run)
    if former and former[-1].ticket == jti:
        if backend.adoptable(former[-1]) or _succeeded(former[-1]):
            return former[-1], True
        if backend.startable(former[-1]):
            return former[-1], False
    for generation in former:
        backend.end(generation)
    return begin(run, jti), False


def _succeeded(generation: Generation) -> bool:
    """It ended with exit code 0 and its results still lie on the driver's node."""
    if (generation.exit_record or {}).get("exit_code") == 0:
        with suppress(FileNotFoundError, ValueError, KeyError, IntegrityError):
            node = str(generation.driver_node)
            return all(
                _lies_there(generation, node, output)
                for output in written_by(read_ticket(generation.run, generation.ticket))
            )
    return False


def _lies_there(generation: Generation, node: str, output: WriteBinding) -> bool:
    """The result; of parts in a store also whether they are the manifest's, because they can't be mended."""
    folder = generation.output(node, output.dataset)
    store = DatasetStore(folder)
    if output.version not in store.versions():
        return False
    if generation.run.nodes.in_store:
        held(node, folder, store.read(output.version))
    return True

"""gather (orchestrator, once per node): bring a node's parts of the result home and check them."""

from typing import NamedTuple

from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.promise import keeps_promise, written_by
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.topology import collect, held
from ppml_ops.errors import IntegrityError
from ppml_ops.lifecycle.generations import Generation, submitted_generation
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import read_ticket
from ppml_ops.receipts.records import Facts


class Gathered(NamedTuple):
    """How many parts, which may be none, and where they stay when they need not be brought home."""

    parts: int
    stays_in: str | None = None


def home_of(run: Run, dataset: str, generation: Generation, node: str) -> AnyFolder:
    """Where merge finds the parts of a node."""
    if run.nodes.in_store:
        return generation.output(node, dataset)
    return incoming(run, dataset, generation.name, node)


def incoming(run: Run, dataset: str, generation: str, node: str) -> AnyFolder:
    """Where a node's parts wait to be merged; hidden from readers of the data set."""
    return run.dataset(dataset).folder.at(f"_incoming/{generation}/{node}")


def result_manifests(run: Run) -> list[Manifest]:
    """The results' manifests as they lie on the driver's node, which must be those that submit recorded.

    Raises:
        IntegrityError: one is another one.
        DataError: there is none.
    """
    done = run.records.facts("submit")
    manifests = []
    for promised in written_by(read_ticket(run, str(done["ticket"]))):
        driver = submitted_generation(run).output(str(done["nodes"][0]), promised.dataset)
        manifest = DatasetStore(driver).read(int(done["versions"][promised.dataset]))
        if manifest.digest != done["results"][promised.dataset] or not keeps_promise(manifest, promised):
            raise IntegrityError(
                f"the manifest of {promised.dataset} on node {done['nodes'][0]} is not what the job published",
                next_step="clear `submit` to run the job again",
            )
        manifests.append(manifest)
    return manifests


def gather(run: Run, facts: Facts, *, node: str) -> Gathered:
    """Collect the parts of all results that lie on `node`; those in an object store are only looked at.

    Raises:
        IntegrityError: a part is missing or is not the one written.
    """
    done = run.records.facts("submit")
    generation = submitted_generation(run)
    facts.update(ticket=done["ticket"], generation=done["generation"], results=done["results"])
    if run.nodes.in_store:
        return _leave_there(run, facts, generation, node)
    tables = {}
    for manifest in result_manifests(run):
        dataset = manifest.dataset
        home = incoming(run, dataset, generation.name, node)
        tables[dataset] = collect(node, generation.output(node, dataset), manifest, home)
    lines = [line for table in tables.values() for line in table]
    facts.update(
        parts=len(lines),
        sealed_bytes=sum(line.length for line in lines),
        checksums={dataset: [line._asdict() for line in table] for dataset, table in tables.items()},
    )
    return Gathered(len(lines))


def _leave_there(run: Run, facts: Facts, generation: Generation, node: str) -> Gathered:
    parts = [
        part
        for manifest in result_manifests(run)
        for part in held(node, generation.output(node, manifest.dataset), manifest)
    ]
    stays_in = str(run.nodes.folder(node, f"g{generation.number}"))
    facts.update(parts=len(parts), sealed_bytes=sum(part.length for part in parts), stays_in=stays_in)
    return Gathered(len(parts), stays_in)

"""gather (orchestrator, once per node): bring a node's parts of the result home and check them."""

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.topology import collect
from ppml_ops.errors import IntegrityError
from ppml_ops.lifecycle.generations import submitted_generation
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import keeps_promise, read_ticket, written_by
from ppml_ops.receipts.records import Facts


def incoming(run: Run, dataset: str, generation: str, node: str) -> Folder:
    """Where a node's parts wait to be merged; hidden from readers of the data set."""
    return run.dataset(dataset).folder.at(f"_incoming/{generation}/{node}")


def result_manifest(run: Run) -> Manifest:
    """The result's manifest as it lies on the driver's node, which must be the one that submit recorded.

    Raises:
        IntegrityError: it is another one.
        DataError: there is none.
    """
    done = run.records.facts("submit")
    driver = submitted_generation(run).output(str(done["nodes"][0]), str(done["dataset"]))
    manifest = DatasetStore(driver).read(int(done["version"]))
    promised = written_by(read_ticket(run, str(done["ticket"])))
    if manifest.digest != done["manifest_digest"] or not keeps_promise(manifest, promised):
        raise IntegrityError(
            f"the result manifest on node {done['nodes'][0]} is not the one that the job published",
            next_step="clear `submit` to run the job again",
        )
    return manifest


def gather(run: Run, facts: Facts, *, node: str) -> int:
    """Collect the parts of `node`; returns their number, which may be 0.

    Raises:
        IntegrityError: a part is missing or is not the one written.
    """
    done = run.records.facts("submit")
    manifest = result_manifest(run)
    source = submitted_generation(run).output(node, manifest.dataset)
    table = collect(node, source, manifest, incoming(run, manifest.dataset, str(done["generation"]), node))
    facts.update(
        ticket=done["ticket"],
        generation=done["generation"],
        manifest_digest=manifest.digest,
        parts=len(table),
        sealed_bytes=sum(line.length for line in table),
        checksums=[line._asdict() for line in table],
    )
    return len(table)

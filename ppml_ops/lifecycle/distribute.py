"""distribute (orchestrator): put the sealed inputs on every node and check them there. No key is needed."""

from collections.abc import Callable

from ppml_ops.datasets.any_folder import Checksum
from ppml_ops.datasets.topology import place
from ppml_ops.errors import IntegrityError
from ppml_ops.lifecycle.inputs import input_store
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts


def distribute(
    run: Run, facts: Facts, progress: Callable[[int], None] = lambda _done: None
) -> dict[str, list[Checksum]]:
    """Copy the input versions of the ticket to every node; returns each node's checksum table.

    What is to be read where it lies is checked there and not copied.

    Raises:
        IntegrityError: the storage does not hold what the ticket was signed for, or a copy differs.
    """
    tables = place_inputs(run, progress)
    issued = run.records.facts("issue_ticket")
    facts.update(inputs=issued["inputs"], in_place=issued["in_place"])
    facts["nodes"] = {node: [line._asdict() for line in table] for node, table in tables.items()}
    return tables


def place_inputs(run: Run, progress: Callable[[int], None]) -> dict[str, list[Checksum]]:
    """As `distribute`; submit calls it too, because a clean-up takes the copies away."""
    issued = run.records.facts("issue_ticket")
    tables: dict[str, list[Checksum]] = {node: [] for node in run.nodes.placed}
    for dataset, digest in issued["inputs"].items():
        store = input_store(run, dataset, issued["in_place"])
        manifest = store.read(int(issued["input_versions"][dataset]))
        if manifest.digest != digest:
            raise IntegrityError(
                f"version {manifest.version} of {dataset} in the storage is not what the ticket was signed for",
                next_step="restore the data set, or clear `encrypt_upload` to seal the input again",
            )
        if dataset in issued["in_place"]:
            store.check_parts(manifest)
            continue
        for node, table in tables.items():
            table += place(store, manifest, run.nodes.folder(node, f"in/{dataset}"), progress)
    return tables

"""clean_up (orchestrator, teardown): end what still runs and remove what the run needed only while it ran.

Committed ciphertext, sealed logs, records and the opened result stay; retention is a matter of maintenance.
"""

import shutil
from contextlib import ExitStack, suppress

from ppml_ops.datasets.promise import keeps_promise, written_by
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import IntegrityError
from ppml_ops.files import remove_abandoned
from ppml_ops.lifecycle.backends import backend_of
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.logs import keep_sealed_logs
from ppml_ops.lifecycle.original import EXPORT_HIDDEN
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, read_ticket
from ppml_ops.receipts.records import Facts


def clean_up(run: Run, facts: Facts) -> None:
    """End every generation, remove node folders, temporary plaintext and what the run made in a cluster.

    Raises:
        TransientError: a process or pod could not be ended.
    """
    ended = 0
    backend = backend_of(run)
    outputs = list(run.records.facts("issue_ticket")["outputs"])
    with ExitStack() as rest:  # each part is done although another one fails; that is raised at the end
        for generation in generations(run):
            rest.callback(backend.remove, generation)
        rest.callback(run.nodes.remove)
        for dataset in reversed(outputs):
            rest.callback(_remove_uncommitted, run, dataset)
        for generation in generations(run):
            ended += backend.alive(generation)
            backend.end(generation)
        if silent := keep_sealed_logs(run, outputs[0]):
            facts["logs_missing_of"] = silent
    for left in ("input", ".result.opening", EXPORT_HIDDEN):
        shutil.rmtree(run.plaintext / left, ignore_errors=True)
    for folder in (run.folder, *(run.folder / name for name in ("records", "tickets", "generations"))):
        remove_abandoned(folder)
    facts.update(ticket=current_ticket(run), ended_processes=ended)


def _remove_uncommitted(run: Run, dataset: str) -> None:
    """What gather and merge of a dead try left in the storage: parts that no published manifest names."""
    store = run.dataset(dataset)
    for generation in generations(run):
        store.folder.remove(f"_incoming/{generation.name}")
        if (node := generation.driver_node) is None:
            continue  # its driver never ended well, so it published nothing
        there = DatasetStore(generation.output(node, dataset))
        with suppress(IntegrityError):  # who can't tell what is published removes nothing
            promised = [
                one for one in written_by(read_ticket(run, generation.ticket)) if one.dataset == dataset
            ]
            manifests = [there.read(version) for version in there.versions()]
            written = {
                part.path
                for manifest in manifests
                if any(keeps_promise(manifest, one) for one in promised)
                for part in manifest.parts
            }
            for path in written - store.published_parts():
                store.folder.remove(path)

"""clean_up (orchestrator, teardown): end what still runs and remove what the run needed only while it ran.

Committed ciphertext, sealed logs, records and the opened result stay; retention is a matter of maintenance.
"""

import json
import shutil
from contextlib import suppress

from ppml_ops.datasets.promise import keeps_promise, written_by
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import IntegrityError, PpmlError
from ppml_ops.files import remove_abandoned
from ppml_ops.lifecycle.generations import Generation, generations
from ppml_ops.lifecycle.logs import keep_sealed_logs
from ppml_ops.lifecycle.original import EXPORT_HIDDEN
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, read_ticket
from ppml_ops.receipts.records import Facts
from ppml_ops.spark.platform_client import PlatformClient, platform_socket


def clean_up(run: Run, facts: Facts) -> None:
    """End processes and TDs of every generation, remove node folders and temporary plaintext.

    Raises:
        TransientError: a process could not be ended.
    """
    ended = 0
    for generation in generations(run):
        ended += generation.alive
        generation.end()
        _destroy_td(generation)
        for name in ("work", "code"):
            shutil.rmtree(generation.folder / name, ignore_errors=True)
    outputs = list(run.records.facts("issue_ticket")["outputs"])
    keep_sealed_logs(run, outputs[0])
    for dataset in outputs:
        _remove_uncommitted(run, dataset)
    for node in run.profile.nodes:
        run.on_node(node).remove()
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
        there = DatasetStore(generation.output(run.profile.nodes[0], dataset))
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


def _destroy_td(generation: Generation) -> None:
    run, path = generation.run, generation.folder / "td.json"
    if run.profile.device != "socket" or not path.exists():
        return
    try:
        PlatformClient(platform_socket(run.home)).destroy_td(json.loads(path.read_bytes())["td"])
    except PpmlError:
        return  # already gone, or the platform is down and its TDs with it

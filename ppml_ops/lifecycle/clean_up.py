"""clean_up (orchestrator, teardown): end what still runs and remove what the run needed only while it ran.

Committed ciphertext, sealed logs, records and the opened result stay; retention is a matter of maintenance.
"""

import json
import shutil

from ppml_ops.errors import PpmlError
from ppml_ops.lifecycle.generations import Generation, generations
from ppml_ops.lifecycle.logs import keep_sealed_logs
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket
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
    issued = run.records.facts("issue_ticket")
    keep_sealed_logs(run, str(issued["result"]))
    for node in run.profile.nodes:
        run.on_node(node).remove()
    for generation in generations(run):
        run.dataset(str(issued["result"])).folder.remove(f"_incoming/{generation.name}")
    shutil.rmtree(run.plaintext / "input", ignore_errors=True)
    facts.update(ticket=current_ticket(run), ended_processes=ended)


def _destroy_td(generation: Generation) -> None:
    run, path = generation.run, generation.folder / "td.json"
    if run.profile.device != "socket" or not path.exists():
        return
    try:
        PlatformClient(platform_socket(run.home)).destroy_td(json.loads(path.read_bytes())["td"])
    except PpmlError:
        return  # already gone, or the platform is down and its TDs with it

"""Sealed logs of a run's jobs: from the nodes into the result data set, and open for who has its key."""

from collections.abc import Iterator

from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.errors import DataError
from ppml_ops.keys.service import key_service_for
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import read_ticket, written_by

LOGS = "_logs"


def keep_sealed_logs(run: Run, dataset: str) -> None:
    """Copy what the generations logged, still sealed, beside the result; the nodes' folders go away."""
    target = run.dataset(dataset).folder
    for generation in generations(run):
        for node in run.profile.nodes:
            source = run.on_node(node, f"g{generation.number}/{dataset}")
            for name in source.names(LOGS):
                with target.open_write(f"{LOGS}/{name}") as sink:
                    for chunk in source.chunks(f"{LOGS}/{name}"):
                        sink.write(chunk)


def read_logs(run: Run) -> Iterator[tuple[str, bytes]]:
    """Name and plaintext of each sealed log of the run, in pieces, oldest generation first (owner zone).

    Raises:
        DataError: there is none.
        PpmlError: its key can't be had.
    """
    found = False
    for generation in generations(run):
        output = written_by(read_ticket(run, generation.ticket))
        folder = run.dataset(output.dataset).folder
        name = f"{LOGS}/{generation.name}.log"
        if f"{generation.name}.log" not in folder.names(LOGS):
            continue
        found = True
        wrap = output.wraps[0]
        key = key_service_for(wrap.ref, home=run.home).unwrap(wrap, output.dataset)
        with folder.open_read(name) as source:
            reader = SealedReader(source, key, output.dataset.encode())
            while piece := reader.read(1 << 20):
                yield generation.name, piece
    if not found:
        raise DataError(
            f"run {run.key} has no sealed log", next_step="check the run key; a job that never started has none"
        )

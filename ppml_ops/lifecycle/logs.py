"""Sealed logs of a run's jobs: from the nodes into the result data set, and open for who has its key."""

from collections.abc import Iterator
from itertools import chain

from ppml_ops.crypto.layout import HEADER, SEGMENT
from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.promise import written_by
from ppml_ops.errors import DataError, IntegrityError, TransientError
from ppml_ops.keys.service import key_service_for
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import read_ticket
from ppml_ops.spark.sealedlog import log_pieces

LOGS = "_logs"
CUT = b"[cut by a kill]\n"
#: Far more than a piece ever has: jobs end pieces after about a MiB.
MAX_LOG_BYTES = 1 << 30


def keep_sealed_logs(run: Run, dataset: str) -> list[str]:
    """Copy what the generations logged, still sealed, beside the result; the nodes' folders go away.

    Returns the nodes that have left or can't be reached now: a result need not wait for what they logged.

    Raises:
        IntegrityError: a node gives more than a log can be.
    """
    silent = sorted(run.nodes.gone())
    for generation in generations(run):
        kept: set[str] = set()
        # The driver's node first: others can't put something else in the place of what it logged.
        for node in sorted(run.nodes.disks, key=lambda one: one != generation.driver_disk):
            if node not in silent:
                try:
                    _keep(generation.output(node, dataset), run.dataset(dataset).folder, generation.name, kept)
                except TransientError:
                    silent.append(node)
    return silent


def _keep(source: AnyFolder, target: AnyFolder, generation: str, kept: set[str]) -> None:
    """Copy a node's logs of one generation, but none under a name that is in `kept`, where they are noted."""
    for name in chain.from_iterable(log_pieces(source.names(LOGS), generation)):
        if name in kept:
            continue
        left = MAX_LOG_BYTES
        with target.open_write(f"{LOGS}/{name}") as sink:
            for chunk in source.chunks(f"{LOGS}/{name}"):
                if (left := left - len(chunk)) < 0:
                    raise IntegrityError(
                        f"{name} in {source} has more than {MAX_LOG_BYTES} bytes, which no log has",
                        who="the operator",
                        next_step="find out who writes to the folders of that node",
                    )
                sink.write(chunk)
        kept.add(name)


def read_logs(run: Run) -> Iterator[tuple[str, bytes]]:
    """Name and plaintext of each sealed log of the run, in pieces, oldest generation first (owner zone).

    The driver's comes first in each generation; those of executors in pods follow, each under its name.
    A process that was killed leaves the file that it was writing without an end; `CUT` stands for its text.

    Raises:
        DataError: there is none.
        IntegrityError: a file was changed.
        PpmlError: its key can't be had.
    """
    found = False
    for generation in generations(run):
        output = written_by(read_ticket(run, generation.ticket))[0]
        folder = run.dataset(output.dataset).folder
        logs = log_pieces(folder.names(LOGS), generation.name)
        if not logs:
            continue
        found = True
        wrap = output.wraps[0]
        key = key_service_for(wrap.ref, home=run.home, broker=run.broker).unwrap(wrap, output.dataset)
        for names in logs:
            title = names[0].removesuffix(".log")
            if names[0] != logs[0][0]:
                yield title, f"[{title}]\n".encode()
            for piece in _read_log(folder, names, key, output.dataset):
                yield title, piece
    if not found:
        raise DataError(
            f"run {run.key} has no sealed log", next_step="check the run key; a job that never started has none"
        )


def _read_log(folder: AnyFolder, names: list[str], key: bytes, dataset: str) -> Iterator[bytes]:
    """The log of one process; only its last file may lack an end."""
    for name in names:
        try:
            yield from _opened(folder, f"{LOGS}/{name}", key, dataset)
        except IntegrityError:
            if name != names[-1] or not _has_no_end(folder.size(f"{LOGS}/{name}")):
                raise
            yield CUT


def _opened(folder: AnyFolder, path: str, key: bytes, dataset: str) -> Iterator[bytes]:
    with folder.open_read(path) as source:
        reader = SealedReader(source, key, dataset.encode())
        while piece := reader.read(1 << 20):
            yield piece


def _has_no_end(length: int) -> bool:
    """Whether a sealed file of this length may be one that a killed process left: nothing, or full segments."""
    return length <= HEADER or length % SEGMENT == 0

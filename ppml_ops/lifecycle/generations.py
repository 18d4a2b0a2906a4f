"""Generations: the tries at running a run's job. The intent is recorded before anything is started."""

import json
from pathlib import Path
from typing import NamedTuple

from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.folder import Folder
from ppml_ops.errors import TransientError
from ppml_ops.files import create_only, private_dir
from ppml_ops.lifecycle.run import Run
from ppml_ops.spark.process import ProcessRecord, kill_tree
from ppml_ops.spark.running import PROCESS


class Generation(NamedTuple):
    """Try number `number` of a run, under the ticket `ticket`."""

    run: Run
    number: int
    ticket: str

    @property
    def name(self) -> str:
        """`<run key>-g<n>`: in names of TDs, logs and drivers."""
        return f"{self.run.key}-g{self.number}"

    @property
    def folder(self) -> Path:
        """Job, agent configuration, process record and life-cycle log."""
        return self.run.folder / f"g{self.number}"

    @property
    def process(self) -> ProcessRecord | None:
        """The process tree that was started for it, if it ever was."""
        path = self.folder / PROCESS
        return ProcessRecord.model_validate_json(path.read_bytes()) if path.exists() else None

    @property
    def alive(self) -> bool:
        """A process of it lives, by pid, start time and boot id."""
        process = self.process
        return process is not None and process.alive()

    def output(self, node: str, dataset: str) -> Folder:
        """Where its parts of a written data set lie on a node."""
        return self.run.on_node(node, f"g{self.number}/{dataset}")

    def end(self) -> None:
        """Kill what is left of its processes. Raises TransientError when some survive."""
        process = self.process
        if process is not None and not kill_tree(process):
            raise TransientError(
                f"processes of generation {self.name} can't be ended, and there must not be two drivers",
                next_step="end them by hand",
            )


def generations(run: Run) -> list[Generation]:
    """All tries of a run, oldest first."""
    found = sorted(run.folder.glob("generations/*.json"), key=lambda path: int(path.stem))
    return [Generation(run, int(path.stem), json.loads(path.read_bytes())["ticket"]) for path in found]


def submitted_generation(run: Run) -> Generation:
    """The one whose result submit recorded. Raises ConfigError when submit has not finished."""
    done = run.records.facts("submit")
    return Generation(run, int(str(done["generation"]).rpartition("-g")[2]), str(done["ticket"]))


def begin(run: Run, ticket: str) -> Generation:
    """Record the intent of the next try. Two callers never get the same one: FileExistsError for the second."""
    former = generations(run)
    generation = Generation(run, former[-1].number + 1 if former else 1, ticket)
    folder = private_dir(run.folder / "generations")
    create_only(folder / f"{generation.number}.json", canonical_json({"ticket": ticket}), mode=0o600)
    return generation

"""Generations: the tries at running a run's job. The intent is recorded before anything is started."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.files import create_only, private_dir
from ppml_ops.lifecycle.run import Run
from ppml_ops.spark.process import ProcessRecord
from ppml_ops.spark.running import EXIT, PROCESS


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
        """The process tree on this host that was started for it, if it ever was."""
        path = self.folder / PROCESS
        return ProcessRecord.model_validate_json(path.read_bytes()) if path.exists() else None

    @property
    def exit_record(self) -> dict[str, Any] | None:
        """What was written down when its driver was seen to end: `exit_code` and, of a pod, more; else None."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.folder / EXIT).read_bytes()))
        return None

    @property
    def driver_node(self) -> str | None:
        """Where its driver published, as far as that is known."""
        node = (self.exit_record or {}).get("node")
        return str(node) if node else self.run.nodes.driver

    @property
    def driver_disk(self) -> str | None:
        """Where its driver left its log, as far as that is known: where it published, or ran."""
        disk = (self.exit_record or {}).get("disk")
        return str(disk) if disk else self.driver_node

    def output(self, node: str, dataset: str) -> AnyFolder:
        """Where its parts of a written data set lie on a node."""
        return self.run.nodes.folder(node, f"g{self.number}/{dataset}")


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

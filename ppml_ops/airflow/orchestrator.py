"""Operators of the orchestrator zone: handles, digests, tickets, ciphertext; no key, no plaintext."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from ppml_ops.airflow.handles import NodeHandle, RunHandle, VerdictHandle, VersionHandle, version_handle
from ppml_ops.airflow.progress import LogProgress
from ppml_ops.airflow.site import find_connections, storage_of
from ppml_ops.airflow.stage import StageOperator, asked_run
from ppml_ops.errors import ConfigError
from ppml_ops.lifecycle.attest import attest
from ppml_ops.lifecycle.clean_up import clean_up
from ppml_ops.lifecycle.distribute import distribute
from ppml_ops.lifecycle.gather import gather
from ppml_ops.lifecycle.merge import merge
from ppml_ops.lifecycle.open_run import open_run
from ppml_ops.lifecycle.preflight import preflight
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.verify_run import verify_run
from ppml_ops.receipts.records import Facts


class OrchestratorStage(StageOperator):
    """Base of the orchestrator's stages."""

    zone = "orchestrator"


class OpenRun(OrchestratorStage):
    """Open the record of the run; setup of the receipt.

    Args:
        check: raises ConfigError for parameters that make no sense together.
    """

    stage = "open_run"

    def __init__(self, *, check: Callable[[Mapping[str, Any]], None] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check

    def find_run(self, context: Context) -> Run:
        """Made here; all later stages read it."""
        if self.check:
            self.check(context["params"])
        run = asked_run(context)
        found = find_connections()
        return run.model_copy(update={"storage": storage_of(found) or run.storage, "connections": found}).save()

    def work(self, run: Run, facts: Facts, context: Context) -> RunHandle:
        """See `ppml_ops.lifecycle.open_run`."""
        open_run(run, facts)
        self.log.info("Run %s works on the data of %s", run.key, run.day)
        return RunHandle(run_key=run.key, day=run.day.isoformat(), profile=run.profile.name)


class Preflight(OrchestratorStage):
    """Look whether everything that the run needs is there."""

    stage = "preflight"

    def work(self, run: Run, facts: Facts, context: Context) -> None:
        """See `ppml_ops.lifecycle.preflight`."""
        preflight(run, facts)


class Distribute(OrchestratorStage):
    """Put the sealed input on every node and check it there."""

    stage = "distribute"

    def work(self, run: Run, facts: Facts, context: Context) -> None:
        """See `ppml_ops.lifecycle.distribute`."""
        tables = distribute(run, facts, LogProgress(self.log.info, "copied"))
        for node, table in tables.items():
            for line in table:
                self.log.info("%s  %s  %12d bytes  sha256 %s", node, line.path, line.length, line.sha256)


class Attest(OrchestratorStage):
    """Ask every node for evidence, and the broker what it thinks of it. No key is released here."""

    stage = "attest"

    def work(self, run: Run, facts: Facts, context: Context) -> VerdictHandle:
        """See `ppml_ops.lifecycle.attest`."""
        for node, decision in attest(run, facts).items():
            self.log.info("%s: %s", node, decision.explain())
        if facts["simulated"]:
            self.log.warning("SIMULATED: the TEE is simulated; this run protects nothing from this machine.")
        if not facts["attested"]:
            self.log.warning("UNATTESTED: no TEE; the data set's policy allows that.")
        return VerdictHandle(allow=facts["allow"], simulated=facts["simulated"], attested=facts["attested"])


class Gather(OrchestratorStage):
    """Bring one node's parts home; mapped over what submit returns, with `map_index_template=BY_INDEX`.

    Args:
        node: the node's handle.
    """

    stage = "gather"
    template_fields: Sequence[str] = ("node",)

    def __init__(self, *, node: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self._stays_in: str | None = None

    @property
    def index(self) -> str:
        """The node's name."""
        if not isinstance(self.node, NodeHandle):
            raise ConfigError("gather got no node: submit left no result", next_step="clear the task `submit`")
        return self.node.node

    def execute(self, context: Context) -> Any:
        """Do the stage's work; where there was nothing to bring home, the task says so by its state."""
        super().execute(context)
        if self._stays_in is not None:
            raise AirflowSkipException(f"the parts lie in {self._stays_in}; merge takes them from there")

    def work(self, run: Run, facts: Facts, context: Context) -> None:
        """See `ppml_ops.lifecycle.gather`."""
        gathered = gather(run, facts, node=self.index)
        self._stays_in = gathered.stays_in
        self.log.info("%s: %d parts of the result", self.index, gathered.parts)


class Merge(OrchestratorStage):
    """Publish the gathered parts as the results' next versions.

    It runs after a gather that was skipped, too: the records say whether that was by hand.
    """

    stage = "merge"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "none_failed")
        super().__init__(**kwargs)

    def work(self, run: Run, facts: Facts, context: Context) -> list[VersionHandle]:
        """See `ppml_ops.lifecycle.merge`."""
        return [version_handle(manifest) for manifest in merge(run, facts)]


class VerifyRun(OrchestratorStage):
    """Fail unless a committed result was opened and every node reported, whatever the task states say."""

    stage = "verify_run"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)

    def work(self, run: Run, facts: Facts, context: Context) -> None:
        """See `ppml_ops.lifecycle.verify_run`."""
        verify_run(run, facts)


class CleanUp(OrchestratorStage):
    """Teardown: end what still runs, remove what was needed only while the run ran."""

    stage = "clean_up"

    def work(self, run: Run, facts: Facts, context: Context) -> None:
        """See `ppml_ops.lifecycle.clean_up`."""
        clean_up(run, facts)

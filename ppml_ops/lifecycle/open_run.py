"""open_run (orchestrator): make the folder of the run and record what was asked for. It makes no key."""

from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts


def open_run(run: Run, facts: Facts) -> None:
    """Get or create the run's folder. Raises ConfigError when it exists with other parameters."""
    run.save()
    facts.update(run_key=run.key, day=run.day.isoformat(), run_type=run.run_type, profile=run.profile.name)

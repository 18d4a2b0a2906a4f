"""verify_run (orchestrator): fail unless a committed result was opened and every expected node reported."""

from ppml_ops.errors import IntegrityError
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket
from ppml_ops.receipts.records import Facts


def verify_run(run: Run, facts: Facts) -> None:
    """Compare what submit, gather, merge and decrypt recorded with what lies in the storage.

    Raises:
        ConfigError: one of them has not finished in this run.
        IntegrityError: they speak of different results, or the published one has changed.
    """
    ticket = current_ticket(run)
    submitted = run.records.facts("submit")
    stages = [("submit", submitted), ("merge", run.records.facts("merge"))]
    stages += [(f"gather of {node}", run.records.facts("gather", node)) for node in submitted["nodes"]]
    stages.append(("decrypt", run.records.facts("decrypt")))
    for name, done in stages:
        if done["results"] != submitted["results"] or done["ticket"] != ticket:
            raise IntegrityError(
                f"{name} is of another result or ticket than this run's current one",
                next_step="clear it with everything downstream",
                who="the operator",
            )
    for dataset, version in submitted["versions"].items():
        store = run.dataset(dataset)
        manifest = store.read(int(version))
        store.check_parts(manifest)
        if manifest.digest != submitted["results"][dataset]:
            raise IntegrityError(
                f"version {version} of {dataset} changed after it was published",
                next_step="restore the data set from a good copy",
            )
    facts.update(ticket=ticket, results=submitted["results"], nodes=list(submitted["nodes"]))

"""retire_ticket (owner, teardown): the broker releases nothing more for the run's tickets."""

from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, retire_all
from ppml_ops.receipts.records import Facts


def retire_ticket(run: Run, facts: Facts) -> None:
    """Revoke all tickets of the run; again without effect. TransientError when the broker does not answer."""
    retire_all(run, broker_client(run.home, run.broker, owner=True))
    facts["ticket"] = current_ticket(run)

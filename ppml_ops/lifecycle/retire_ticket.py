"""retire_ticket (owner, teardown): the broker releases nothing more for the run's ticket."""

from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, retire
from ppml_ops.receipts.records import Facts


def retire_ticket(run: Run, facts: Facts) -> None:
    """Revoke the current ticket at the broker; again without effect. TransientError when it does not answer."""
    ticket = current_ticket(run)
    retire(run, broker_client(run.home, run.broker, owner=True), ticket)
    facts["ticket"] = ticket

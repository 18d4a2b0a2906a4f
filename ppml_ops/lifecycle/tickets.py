"""The tickets of a run: `tickets/<jti>.jws`. Which one is current stands in the record of issue_ticket."""

import base64
from pathlib import Path

from pydantic import ValidationError

from ppml_ops.broker.tickets import TicketClaims
from ppml_ops.errors import IntegrityError
from ppml_ops.lifecycle.run import Run


def ticket_path(run: Run, jti: str) -> Path:
    """File of the ticket `jti`."""
    return run.folder / "tickets" / f"{jti}.jws"


def current_ticket(run: Run) -> str:
    """Id of the ticket issued last. Raises ConfigError when issue_ticket has not finished."""
    return str(run.records.facts("issue_ticket")["ticket"])


def ticket_text(run: Run, jti: str) -> str:
    """A ticket of this run as it goes to the broker. Raises IntegrityError when the file is gone or no text."""
    try:
        return ticket_path(run, jti).read_text("ascii")
    except (OSError, ValueError):
        raise _damaged(run, jti) from None


def read_ticket(run: Run, jti: str) -> TicketClaims:
    """What a ticket of this run says. The signature is the broker's business; our copy need not be trusted.

    Raises:
        IntegrityError: the file is gone or not a ticket.
    """
    try:
        payload = ticket_text(run, jti).split(".")[1]
        return TicketClaims.model_validate_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, ValidationError):
        raise _damaged(run, jti) from None


def _damaged(run: Run, jti: str) -> IntegrityError:
    return IntegrityError(
        f"the ticket {jti} of run {run.key} is missing or damaged", next_step="clear the task `issue_ticket`"
    )

"""The tickets of a run: `tickets/<jti>.jws`. Which one is current stands in the record of issue_ticket."""

import base64
from pathlib import Path

from pydantic import ValidationError

from ppml_ops.broker.client import BrokerClient
from ppml_ops.broker.jose import verify_compact
from ppml_ops.broker.tickets import TICKET_TYPE, TicketClaims, owner_key
from ppml_ops.errors import IntegrityError
from ppml_ops.lifecycle.owner_notes import recall, remember
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


def owner_key_file(run: Run) -> Path:
    """The owner's ticket-signing key; only the owner's stages read it."""
    return run.home / "owner" / "ticket-signing.jwk"


def owners_ticket(run: Run, jti: str) -> TicketClaims:
    """What the ticket `jti` says, which really is the owner's for this run.

    Raises:
        IntegrityError: the ticket file was changed or exchanged.
    """
    try:
        payload = verify_compact(ticket_text(run, jti), owner_key(owner_key_file(run)), TICKET_TYPE)
        claims = TicketClaims.model_validate_json(payload)
    except ValueError:
        raise _damaged(run, jti) from None
    if claims.jti != jti or claims.run_key != run.key:
        raise _damaged(run, jti)
    return claims


def issued_tickets(run: Run) -> dict[str, bool | None]:
    """All tickets that the owner signed for the run, oldest first, by the owner's own notes.

    None: may be used. False: must not be used again. True: and the broker knows that for certain.
    """
    return dict(recall(run, "tickets", "issue_ticket", default={}))


def note_ticket(run: Run, jti: str) -> None:
    """Remember a ticket before it is signed, so that it is found whatever happens then."""
    remember(run, tickets=issued_tickets(run) | {jti: None})


def retire_all(run: Run, broker: BrokerClient) -> None:
    """The broker releases nothing more for any ticket of the run, and the run never takes one again."""
    for jti, retired in issued_tickets(run).items():
        if not retired:
            # A kill in between must leave it neither looking alive nor forgotten.
            remember(run, tickets=issued_tickets(run) | {jti: False})
            broker.revoke_ticket(jti)
            remember(run, tickets=issued_tickets(run) | {jti: True})


def _damaged(run: Run, jti: str) -> IntegrityError:
    return IntegrityError(
        f"the ticket {jti} of run {run.key} is missing or damaged", next_step="clear the task `issue_ticket`"
    )

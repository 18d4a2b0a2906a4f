"""attest (orchestrator): ask every node for evidence and the broker for its opinion, before work is spent.

A pre-check without a key. The binding verdict is the broker's release record, made when the job itself attests.
"""

from pathlib import Path

from ppml_ops.broker.release import Decision
from ppml_ops.errors import DeniedError
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import current_ticket, ticket_text
from ppml_ops.receipts.records import Facts


def attest(run: Run, facts: Facts) -> dict[str, Decision]:
    """What the broker would decide for each node.

    Raises:
        DeniedError: a node would get no key; lists every reason.
        IntegrityError: the ticket is gone or damaged.
        TransientError: broker or platform do not answer.
    """
    broker = broker_client(run.home, run.broker)
    ticket = ticket_text(run, current_ticket(run))
    application = Path(str(run.records.facts("issue_ticket")["application"]))
    decisions: dict[str, Decision] = {}
    for node in run.nodes.names:
        with run.nodes.evidence(node, run.job_file, application) as provider:
            decisions[node] = broker.appraise(ticket, provider, run.profile.tee)
    every = list(decisions.values())
    facts.update(
        job_digest=run.records.facts("issue_ticket")["job_digest"],
        allow=all(decision.allow for decision in every),
        simulated=any(decision.simulated for decision in every),
        attested=all(decision.attested for decision in every),
        policies={verdict.dataset: verdict.policy_digest for one in every for verdict in one.verdicts},
        reasons=sorted({reason for decision in every for reason in decision.reasons}),
    )
    for node, decision in decisions.items():
        if not decision.allow:
            raise DeniedError(
                f"the broker would release no key to node {node}: {'; '.join(decision.reasons)}",
                next_step="correct what the reasons name: the node, the job, or the data set's policy",
            )
    return decisions

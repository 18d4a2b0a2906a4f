"""The receipt operator: the one effective leaf of a life-cycle DAG."""

import time
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from ppml_ops.airflow.stage import asked_run
from ppml_ops.errors import PpmlError
from ppml_ops.lifecycle.evidence import collect_evidence
from ppml_ops.lifecycle.run import load_run
from ppml_ops.receipts.receipt import write_receipt
from ppml_ops.receipts.signer import receipt_signer


class RunNotProvenError(AirflowException):
    """The records of a run do not prove that it did what its DAG says."""


class WriteReceipt(BaseOperator):
    """Write the receipt first, then fail unless the records prove the run. Never skips, never retries."""

    stage = "receipt"
    zone = "orchestrator"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retries", 0)
        kwargs.setdefault("queue", self.zone)
        super().__init__(**kwargs)

    def execute(self, context: Context) -> None:
        """Judge the record files; task states are not looked at."""
        try:
            asked = asked_run(context)
            run = load_run(asked.home, asked.key)
            receipt = write_receipt(
                run.folder,
                run.records,
                run.identity,
                collect_evidence(run),
                receipt_signer(run.home),
                now=time.time(),
            )
        except AirflowSkipException as skip:
            raise RunNotProvenError(f"the receipt can't be skipped: {skip}") from None
        except PpmlError as error:
            raise RunNotProvenError(f"there is no receipt: {error}") from None
        for problem in receipt.problems:
            self.log.error("Not proven: %s", problem)
        if not receipt.zones_isolated:
            self.log.warning("Zones not isolated: owner and orchestrator stages ran as the same user.")
        if not receipt.proven:
            raise RunNotProvenError(
                f"run {run.key} is not proven: {receipt.problems[0]}"
                + (f" and {len(receipt.problems) - 1} more problems" if len(receipt.problems) > 1 else "")
            )
        self.log.info("Proven. Receipt %s of run %s, signed by %s", receipt.digest, run.key, receipt.signer)

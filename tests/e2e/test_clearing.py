"""Clearing tasks of a proven run: what follows is done again, what stands is kept, the receipt renewed."""

from datetime import date
from pathlib import Path

import pytest

from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.tickets import current_ticket
from tests.support.life_cycle import LifeCycle

pytestmark = [pytest.mark.e2e, pytest.mark.java]


def test_decrypt_alone_and_then_the_job_again(home: Path, day: date) -> None:
    life = LifeCycle(home, day, name="cleared")
    assert life.finish().proven
    first, rows = current_ticket(life.run), life.result_rows()

    # `decrypt` with downstream: Airflow runs the setups too, and submit stays as it is.
    life.job_is_done = True
    for stage in ("open_run", "issue_ticket", "decrypt", "verify_run", "retire_ticket", "clean_up"):
        life.stage(stage)
    assert life.receipt().proven
    assert current_ticket(life.run) == first
    assert life.results.versions() == [1]

    # `submit` with downstream: the old ticket is retired, so the job gets a new one and a new version.
    life.job_is_done = False
    again = ("open_run", "issue_ticket", "submit", "gather", "merge", "decrypt", "verify_run")
    for stage in (*again, "retire_ticket", "clean_up"):
        life.stage(stage)
    receipt = life.receipt()
    assert receipt.problems == ()
    assert current_ticket(life.run) != first
    assert life.results.versions() == [1, 2]
    assert life.results.read(2).previous == life.results.read(1).digest
    assert [generation.number for generation in generations(life.run)] == [1, 2]
    assert life.result_rows() == rows

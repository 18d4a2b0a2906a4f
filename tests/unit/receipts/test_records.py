"""Stage records: written whatever happens, and never a source of secrets."""

from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError, DeniedError, IntegrityError
from ppml_ops.receipts.records import Records


def test_facts_of_a_finished_stage_can_be_read(tmp_path: Path) -> None:
    records = Records(tmp_path / "records")
    with records.recording("gather", "node-a") as facts:
        facts["parts"] = 2
    assert records.facts("gather", "node-a") == {"parts": 2}
    assert list(records.all()) == ["gather@node-a"]
    assert (tmp_path / "records").stat().st_mode & 0o777 == 0o700


def test_a_failed_stage_keeps_its_reason_and_gives_no_facts(tmp_path: Path) -> None:
    records = Records(tmp_path / "records")
    with pytest.raises(DeniedError), records.recording("submit"):
        raise DeniedError("no", next_step="ask")
    failure = records.all()["submit"].failure
    assert failure is not None
    assert (failure.kind, failure.what, failure.next_step) == ("DeniedError", "no", "ask")
    with pytest.raises(ConfigError, match="has failed in this run"):
        records.facts("submit")
    with pytest.raises(ConfigError, match="not run"):
        records.facts("merge")


def test_the_text_of_foreign_exceptions_is_not_recorded(tmp_path: Path) -> None:
    records = Records(tmp_path / "records")
    with pytest.raises(ValueError, match="canary"), records.recording("decrypt"):
        raise ValueError("canary")
    assert "canary" not in (tmp_path / "records" / "decrypt.json").read_text()


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    records = Records(tmp_path)
    (tmp_path / "submit.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"submit\.json"):
        records.all()

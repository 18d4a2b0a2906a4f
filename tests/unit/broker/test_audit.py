"""The audit log: any change breaks it, a crash does not, and counts come from it."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ppml_ops.broker.audit import AuditLog, verify_audit
from ppml_ops.errors import ConfigError, IntegrityError

DOMAIN = "ab" * 32
JTI = "0" * 32
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def open_log(path: Path, domain: str = DOMAIN) -> AuditLog:
    return AuditLog(path, KEY, domain, lambda: 1_790_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with two releases and a revocation."""
    log = open_log(tmp_path / "audit.jsonl")
    log.append("release", ticket=JTI, datasets=[{"dataset": "sim-people"}])
    log.append("ticket-revoked", ticket="1" * 32)
    log.append("release", ticket=JTI, datasets=[])
    log.close()
    return tmp_path / "audit.jsonl"


def test_verifies_and_links(path: Path) -> None:
    records = verify_audit(path, KEY.public_key())
    assert [record.body.event for record in records] == ["created", "release", "ticket-revoked", "release"]
    assert [record.body.prev for record in records[1:]] == [record.digest for record in records[:-1]]


def test_reopened_log_counts_and_goes_on(path: Path) -> None:
    log = open_log(path)
    assert log.activations(JTI) == 2
    assert log.revoked() == {"1" * 32}
    log.append("release", ticket=JTI)
    assert [record.body.seq for record in log.releases(JTI)] == [1, 3, 4]
    log.close()
    assert len(verify_audit(path, KEY.public_key())) == 5


def test_a_flipped_bit_anywhere_is_found(path: Path, tmp_path: Path) -> None:
    """Every byte of the log, one changed bit each."""
    good = path.read_bytes()
    changed = tmp_path / "changed.jsonl"
    for position in range(len(good)):
        data = bytearray(good)
        data[position] ^= 1 << (position % 7)
        changed.write_bytes(data)
        with pytest.raises(IntegrityError):
            verify_audit(changed, KEY.public_key())


@pytest.mark.parametrize("position", [5, 200, -1, -2, -40])
def test_a_broker_does_not_start_on_a_changed_log(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="audit log"):
        open_log(path)


@pytest.mark.parametrize("lines", [[0, 2, 3], [0, 1, 3, 2], [1, 2, 3], [0, 1, 1, 2, 3]])
def test_missing_swapped_and_repeated_records_are_found(path: Path, lines: list[int]) -> None:
    good = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(good[number] for number in lines))
    with pytest.raises(IntegrityError):
        verify_audit(path, KEY.public_key())


def test_log_of_another_signer(path: Path) -> None:
    with pytest.raises(IntegrityError):
        verify_audit(path, Ed25519PrivateKey.generate().public_key())


def test_log_of_another_trust_domain(path: Path) -> None:
    with pytest.raises(IntegrityError, match="trust domain"):
        open_log(path, "cd" * 32)


def test_torn_last_line_is_cut_and_said(path: Path) -> None:
    """At every place where a crash can cut the last record."""
    good = path.read_bytes()
    start = good.rindex(b'{"body"')
    for cut in [*range(start + 1, len(good) - 1, 37), len(good) - 2]:
        path.write_bytes(good[:cut])
        log = open_log(path)
        assert log.activations(JTI) == 1
        log.close()
        last = verify_audit(path, KEY.public_key())[-1].body
        assert (last.event, last.get("cut_bytes")) == ("repaired", cut - start)


def test_unwritten_blocks_after_a_crash_are_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(512))
    open_log(path).close()
    assert verify_audit(path, KEY.public_key())[-1].body.event == "repaired"


def test_whole_last_record_without_its_line_feed_stays(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    log = open_log(path)
    assert log.activations(JTI) == 2
    log.close()
    assert len(verify_audit(path, KEY.public_key())) == 4


def test_only_its_owner_may_read_it(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="0644"):
        open_log(path)


def test_lines_are_canonical_json(path: Path) -> None:
    line = path.read_bytes().splitlines()[0]
    assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")).encode() == line

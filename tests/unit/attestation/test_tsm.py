"""configfs-tsm as the kernel behaves, and as it must not."""

import errno
import os
from pathlib import Path

import pytest

from ppml_ops.attestation.errors import (
    EventLogError,
    EvidenceTransportError,
    EvidenceUnavailableError,
    ReportDataError,
    UndecodableQuoteError,
)
from ppml_ops.attestation.measure import Event, replay
from ppml_ops.attestation.rtmr import EVENT_LOG_FILE, RTMR3_FILE, RuntimeMeasurements
from ppml_ops.attestation.tsm import REPORT_DIR, SystemFileOps, TsmConfigfsProvider
from ppml_ops.errors import ConfigError

ASKED = bytes(range(64))


class Tsm:
    """A fake of the kernel's files: the value is taken at close, and only `generation` tells of it."""

    def __init__(self, make_quote, *, provider=b"tdx_guest\n", padding=3000):
        self.make_quote = make_quote
        self.provider = provider
        self.padding = padding
        self.entries = {}
        self.seen = []
        self.failures = []
        self.foreign_writes_at = ()
        self.drop_write = False
        self.mkdir_error = None
        self.rmdir_error = None

    def mkdir(self, path):
        if self.mkdir_error:
            raise OSError(self.mkdir_error, os.strerror(self.mkdir_error))
        if path in self.entries:
            raise FileExistsError(errno.EEXIST, "exists")
        self.entries[path] = [0, b""]
        self.seen.append(path.name)

    def rmdir(self, path):
        del self.entries[path]
        if self.rmdir_error:
            raise OSError(self.rmdir_error, os.strerror(self.rmdir_error))

    def write(self, path, data):
        assert path.name == "inblob"
        if len(data) > 64:
            raise OSError(errno.EFBIG, "too big")
        if not self.drop_write:
            self.entries[path.parent] = [self.entries[path.parent][0] + 1, data]

    def read(self, path, limit):
        entry = self.entries[path.parent]
        if path.name == "provider":
            return self.provider
        if path.name == "generation":
            if "read" in self.foreign_writes_at and entry[0]:
                entry[0] += 1
            return f"{entry[0]}\n".encode()
        assert path.name == "outblob"
        if self.failures:
            code = self.failures.pop(0)
            raise OSError(code, os.strerror(code))
        if len(entry[1]) != 64:
            raise OSError(errno.EINVAL, "nothing written")
        if "quote" in self.foreign_writes_at:
            entry[0] += 1
        return (self.make_quote(entry[1]) + bytes(self.padding))[: limit + 1]


@pytest.fixture
def tsm(world):
    return Tsm(lambda report_data: world.evidence(report_data).quote)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def quote(tsm, tmp_path):
    time = Time()
    provider = TsmConfigfsProvider(tmp_path, files=tsm, clock=time.clock, sleep=time.sleep, wait=5)
    return lambda: provider.quote(ASKED)


def test_good(quote, tsm, world):
    evidence = quote()
    assert evidence.tee == "tdx" and evidence.event_log is None
    assert len(evidence.quote) == len(world.evidence(ASKED).quote), "padding is cut"
    assert not tsm.entries


def test_each_request_has_an_entry_of_its_own(quote, tsm):
    quote(), quote()
    assert len(set(tsm.seen)) == 2 and all(len(name) > 30 for name in tsm.seen)


def test_busy_twice_then_success(quote, tsm):
    tsm.failures = [errno.EBUSY, errno.EINTR]
    assert quote().tee == "tdx"


def test_busy_for_ever_ends(quote, tsm):
    tsm.failures = [errno.EBUSY] * 1000
    with pytest.raises(EvidenceUnavailableError):
        quote()
    assert not tsm.entries and len(tsm.failures) > 900


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL, errno.ENXIO, errno.EFBIG])
def test_device_errors(quote, tsm, code):
    tsm.failures = [code]
    with pytest.raises(EvidenceTransportError):
        quote()
    assert not tsm.entries


@pytest.mark.parametrize("provider", [b"sev_guest\n", b"arm_cca_guest\n", b"", b"tdx_guest2\n"])
def test_wrong_provider(quote, tsm, provider):
    tsm.provider = provider
    with pytest.raises(ConfigError):
        quote()
    assert not tsm.entries


@pytest.mark.parametrize("when", ["read", "quote"])
def test_somebody_else_wrote(quote, tsm, when):
    """Generation 2 after our write, or after the quote."""
    tsm.foreign_writes_at = (when,)
    with pytest.raises(EvidenceTransportError):
        quote()
    assert not tsm.entries


def test_write_that_the_kernel_dropped(quote, tsm):
    tsm.drop_write = True
    with pytest.raises(EvidenceTransportError):
        quote()


def test_short_output(quote, tsm):
    whole = tsm.make_quote
    tsm.make_quote, tsm.padding = (lambda data: whole(data)[:1000]), 0
    with pytest.raises(UndecodableQuoteError):
        quote()


def test_endless_output(quote, tsm):
    tsm.padding = 1 << 20
    with pytest.raises(UndecodableQuoteError):
        quote()


def test_quote_of_another_request(quote, tsm, world):
    tsm.make_quote = lambda _data: world.evidence(bytes(64)).quote
    with pytest.raises(ReportDataError):
        quote()


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENXIO, errno.EACCES])
def test_no_tsm_here(quote, tsm, code):
    tsm.mkdir_error = code
    with pytest.raises(ConfigError, match="configfs"):
        quote()


def test_failing_removal_does_not_matter(quote, tsm):
    tsm.rmdir_error = errno.EBUSY
    assert quote().tee == "tdx"


def test_real_files_without_a_kernel(tmp_path):
    """On a plain folder the entry stays empty: an error of ours, and the entry is gone."""
    (tmp_path / REPORT_DIR).mkdir(parents=True)
    with pytest.raises(EvidenceTransportError):
        TsmConfigfsProvider(tmp_path).quote(ASKED)
    assert list((tmp_path / REPORT_DIR).iterdir()) == []


def test_system_file_operations(tmp_path):
    ops = SystemFileOps()
    ops.mkdir(tmp_path / "e")
    (tmp_path / "e" / "inblob").touch()
    ops.write(tmp_path / "e" / "inblob", b"abc")
    assert ops.read(tmp_path / "e" / "inblob", 2) == b"abc"
    (tmp_path / "e" / "inblob").unlink()
    ops.rmdir(tmp_path / "e")
    assert not (tmp_path / "e").exists()


# RTMR3 ------------------------------------------------------------------------------------------------------

EVENTS = [
    Event(imr=3, event="ppml-ops/runner", digest="1" * 96),
    Event(imr=3, event="ppml-ops/job", digest="2" * 96),
]


@pytest.fixture
def rtmr(tmp_path, monkeypatch):
    """A plain file that extends when written, as the kernel's does."""
    path = tmp_path / RTMR3_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(48))
    written = []

    def extend(self, digest):
        assert len(digest) == 48
        written.append(Event(imr=3, event="", digest=digest.hex()))
        path.write_bytes(replay(written, 3))

    monkeypatch.setattr(RuntimeMeasurements, "_write", extend)
    return RuntimeMeasurements(tmp_path)


def test_extension_and_log(rtmr, tmp_path, tsm, world):
    rtmr.extend(EVENTS)
    assert (tmp_path / RTMR3_FILE).read_bytes() == replay(EVENTS, 3)
    rtmr.extend(EVENTS)
    assert (tmp_path / RTMR3_FILE).read_bytes() == replay(EVENTS, 3), "once per TD"
    evidence = TsmConfigfsProvider(tmp_path, files=tsm).quote(ASKED)
    assert evidence.event_log == (tmp_path / EVENT_LOG_FILE).read_bytes()


def test_one_td_runs_one_job(rtmr):
    rtmr.extend(EVENTS)
    with pytest.raises(EventLogError, match="extended before"):
        rtmr.extend([EVENTS[0], Event(imr=3, event="ppml-ops/job", digest="3" * 96)])


def test_only_rtmr3(rtmr):
    with pytest.raises(ConfigError):
        rtmr.extend([Event(imr=2, event="x", digest="1" * 96)])


def test_kernel_that_does_not_extend(rtmr, monkeypatch):
    monkeypatch.setattr(RuntimeMeasurements, "_write", lambda self, digest: None)
    with pytest.raises(EventLogError):
        rtmr.extend(EVENTS)


def test_kernel_without_rtmr3(tmp_path):
    with pytest.raises(ConfigError, match=r"6\.16"):
        RuntimeMeasurements(tmp_path).extend(EVENTS)


def test_write_reaches_the_file(tmp_path):
    path = tmp_path / RTMR3_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(48))
    with pytest.raises(EventLogError):
        RuntimeMeasurements(tmp_path).extend(EVENTS)  # a plain file keeps what is written, a register does not
    assert path.read_bytes() == bytes.fromhex("2" * 96)


@pytest.mark.parametrize("content", [b"", b"junk", b"[{}]"])
def test_damaged_log(tmp_path, content):
    path: Path = tmp_path / EVENT_LOG_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(EventLogError):
        RuntimeMeasurements(tmp_path).event_log()

"""Evidence devices: which one is chosen, and what they may not get away with."""

import json
import socketserver
import threading

import pytest

from ppml_ops.attestation.errors import (
    EvidenceTransportError,
    EvidenceUnavailableError,
    ReportDataError,
    UndecodableQuoteError,
)
from ppml_ops.attestation.evidence import Evidence, NoTeeProvider, provider_for
from ppml_ops.attestation.socket_device import MAX_LINE_BYTES, SocketProvider
from ppml_ops.attestation.tsm import TsmConfigfsProvider
from ppml_ops.canonical import b64e
from ppml_ops.errors import ConfigError, TransientError

ASKED = bytes(range(64))


def test_provider_for_each_kind(tmp_path):
    assert isinstance(provider_for({"kind": "none"}), NoTeeProvider)
    assert isinstance(provider_for({"kind": "socket", "path": str(tmp_path / "s")}), SocketProvider)
    assert isinstance(provider_for({"kind": "tsm", "root": "/"}), TsmConfigfsProvider)


@pytest.mark.parametrize(
    "device",
    [
        {},
        {"kind": "sample"},
        {"kind": "socket"},
        {"kind": "socket", "path": ""},
        {"kind": "socket", "path": 1},
        {"kind": "tsm", "path": "/"},
        {"kind": "none", "root": "/"},
        {"kind": "tsm", "root": "/", "simulated": True},
    ],
)
def test_other_devices_are_refused(device):
    with pytest.raises(ConfigError):
        provider_for(device)


def test_no_tee_says_so():
    assert NoTeeProvider().quote(ASKED) == Evidence("none", b"", None)


@pytest.mark.parametrize("size", [0, 48, 63, 65])
@pytest.mark.parametrize("kind", ["none", "socket", "tsm"])
def test_report_data_has_64_bytes(kind, size, tmp_path):
    device = {"none": {}, "socket": {"path": str(tmp_path)}, "tsm": {"root": str(tmp_path)}}[kind]
    with pytest.raises(ReportDataError):
        provider_for({"kind": kind} | device).quote(bytes(size))


@pytest.fixture
def device(tmp_path):
    """A socket that answers every request with one fixed line."""
    servers = []

    def start(answer: bytes) -> SocketProvider:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.rfile.readline()
                self.wfile.write(answer)

        path = tmp_path / "d.sock"
        server = socketserver.UnixStreamServer(str(path), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return SocketProvider(path, timeout=5)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def line(**members: object) -> bytes:
    return json.dumps(members).encode() + b"\n"


def test_good_answer(device, world):
    evidence = world.evidence(ASKED)
    provider = device(line(ok=True, quote=b64e(evidence.quote + bytes(50)), event_log=b64e(b"[]")))
    assert provider.quote(ASKED) == Evidence("tdx", evidence.quote, b"[]")


def test_refusal_is_told(device):
    with pytest.raises(EvidenceTransportError, match="code changed"):
        device(line(ok=False, error="code changed")).quote(ASKED)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"junk\n",
        b"[]\n",
        b'{"ok":true}',
        line(ok=True),
        line(ok="yes", quote=""),
        line(ok=True, quote="***"),
        line(ok=True, quote=""),
        line(ok=True, quote="", extra=1),
        line(ok=True, quote="eA==", event_log="*"),
        b"x" * (MAX_LINE_BYTES + 10) + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_answers_that_are_no_evidence(device, answer):
    with pytest.raises((EvidenceTransportError, UndecodableQuoteError)):
        device(answer).quote(ASKED)


def test_quote_for_somebody_else(device, world):
    quote = world.evidence(bytes(64)).quote
    with pytest.raises(ReportDataError):
        device(line(ok=True, quote=b64e(quote))).quote(ASKED)


def test_enclave_quote_from_a_td_device(device, worlds):
    quote = worlds(tee="sgx").evidence(ASKED).quote
    with pytest.raises(ReportDataError):
        device(line(ok=True, quote=b64e(quote))).quote(ASKED)


def test_nobody_there(tmp_path):
    for path in (tmp_path / "absent.sock", tmp_path / "no" / "folder.sock"):
        with pytest.raises(EvidenceUnavailableError) as caught:
            SocketProvider(path).quote(ASKED)
        assert isinstance(caught.value, TransientError)


def test_long_paths_work(tmp_path, world):
    """Folders of runs are deep; a Unix socket's address is not."""
    from ppml_sim.server import LineServer

    folder = tmp_path / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    quote = b64e(world.evidence(ASKED).quote)
    server = LineServer(folder / "d.sock", lambda _line, _peer: {"quote": quote})
    try:
        assert SocketProvider(folder / "d.sock").quote(ASKED).tee == "tdx"
    finally:
        server.close()
    assert not (folder / "d.sock").exists()

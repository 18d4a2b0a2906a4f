"""Collateral bundles: parsing, finding by platform, and fetching from one's own PCCS."""

import asyncio
import http.server
import json
import threading
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from ppml_ops.attestation.collateral import MAX_COLLATERAL_BYTES, Collateral, CollateralStore
from ppml_ops.attestation.errors import CollateralFormatError, PccsUnavailableError, UndecodableQuoteError
from ppml_ops.errors import ConfigError


def test_facts(vectors):
    issued = {"tdx_v4_a": 1_750_327_235, "sgx_v3": 1_750_327_278}  # its PCK CRL, and its QE identity
    for name, tee in (("tdx_v4_a", "tdx"), ("sgx_v3", "sgx")):
        vector = vectors[name]
        facts = vector.collateral.facts()
        assert (facts.tee, facts.fmspc) == (tee, vector.entry["fmspc"].lower())
        assert facts.expires == vector.entry["not_after"] and facts.eval_number == 17
        assert facts.issued == issued[name]
        assert facts.issued < vector.entry["now"] < facts.expires


def test_round_trip(vectors):
    bundle = vectors["tdx_v4_c"].collateral
    assert Collateral.from_json(bundle.to_json()) == bundle
    assert bundle.without_pck_chain().pck_certificate_chain is None
    assert bundle.without_pck_chain().sha256 != bundle.sha256


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{}", b"x" * (MAX_COLLATERAL_BYTES + 1), b"\xff", b"[" * 100_000]
)
def test_unusable_documents(data):
    with pytest.raises(CollateralFormatError):
        Collateral.from_json(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tcb_info", "junk"),
        ("tcb_info", "{}"),
        ("tcb_info", "[" * 100_000),
        ("qe_identity", '{"issueDate":"never"}'),
        ("pck_crl", "zz"),
        ("root_ca_crl", "00"),
    ],
)
def test_unreadable_parts(vectors, field, value):
    vector = vectors["tdx_v4_a"]
    bundle = vector.collateral.model_copy(update={field: value})
    with pytest.raises(CollateralFormatError):
        bundle.facts()


def test_unknown_fields_are_refused(vectors):
    document = json.loads(vectors["tdx_v4_a"].collateral.to_json()) | {"comment": "x"}
    with pytest.raises(CollateralFormatError):
        Collateral.from_json(json.dumps(document))


def test_store_of_one_file(tmp_path, vectors):
    bundle = vectors["tdx_v4_c"].collateral
    path = tmp_path / "collateral.json"
    path.write_bytes(bundle.to_json())
    assert CollateralStore(path).find(vectors["tdx_v4_a"].quote) == bundle.without_pck_chain()


def test_store_of_many(tmp_path, vectors):
    for name, file in (
        ("tdx_v4_a", "tdx-b0c06f000000-platform.json"),
        ("tdx_v5", "tdx-90c06f000000-platform.json"),
        ("sgx_v3", "sgx-00a067110000-processor.json"),
    ):
        (tmp_path / file).write_bytes(vectors[name].collateral.to_json())
    store = CollateralStore(tmp_path)
    for name in ("tdx_v4_a", "tdx_v5", "sgx_v3"):
        assert store.find(vectors[name].quote) == vectors[name].collateral.without_pck_chain()
    (tmp_path / "tdx-90c06f000000-platform.json").unlink()
    with pytest.raises(CollateralFormatError, match="90c06f000000"):
        store.find(vectors["tdx_v5"].quote)
    with pytest.raises(UndecodableQuoteError):
        store.find(b"junk")


@pytest.fixture
def pccs(vectors):
    """A PCCS on loopback with the collateral of one real platform."""
    bundle = vectors["tdx_v4_a"].collateral

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            header, body = None, b""
            if url.path.endswith("/pckcrl") and query["ca"] == ["platform"]:
                header, body = (
                    ("SGX-PCK-CRL-Issuer-Chain", bundle.pck_crl_issuer_chain),
                    bytes.fromhex(bundle.pck_crl),
                )
            elif url.path.endswith("/tdx/certification/v4/tcb") and query["fmspc"][0].lower() == "b0c06f000000":
                header = ("TCB-Info-Issuer-Chain", bundle.tcb_info_issuer_chain)
                body = f'{{"tcbInfo":{bundle.tcb_info},"signature":"{bundle.tcb_info_signature}"}}'.encode()
            elif url.path.endswith("/tdx/certification/v4/qe/identity"):
                header = ("SGX-Enclave-Identity-Issuer-Chain", bundle.qe_identity_issuer_chain)
                identity = f'{{"enclaveIdentity":{bundle.qe_identity}'
                body = f'{identity},"signature":"{bundle.qe_identity_signature}"}}'.encode()
            elif url.path.endswith("/rootcacrl"):
                body = bundle.root_ca_crl.encode()
            self.send_response(200 if body else 404)
            if header:
                self.send_header(header[0], quote(header[1]))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_fetch_keeps_the_bundle(tmp_path, vectors, pccs):
    vector = vectors["tdx_v4_a"]
    store = CollateralStore(tmp_path / "store")
    bundle = store.fetch(vector.quote, pccs)
    assert bundle == store.find(vector.quote)
    assert (tmp_path / "store" / "tdx-b0c06f000000-platform.json").stat().st_mode & 0o777 == 0o600
    assert vector.appraise(collateral=bundle).tcb_status == "UpToDate"


def test_fetch_inside_an_event_loop(tmp_path, vectors, pccs):
    async def server() -> Collateral:
        return CollateralStore(tmp_path / "one.json").fetch(vectors["tdx_v4_a"].quote, pccs)

    assert asyncio.run(server()) == Collateral.load(tmp_path / "one.json")


def test_unknown_platform_and_absent_pccs(tmp_path, vectors, pccs):
    store = CollateralStore(tmp_path)
    with pytest.raises(PccsUnavailableError):
        store.fetch(vectors["tdx_v5"].quote, pccs)
    with pytest.raises(PccsUnavailableError):
        store.fetch(vectors["tdx_v5"].quote, "http://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["", "file:///etc", "pccs.example"])
def test_url_must_be_given(tmp_path, vectors, url):
    with pytest.raises(ConfigError):
        CollateralStore(tmp_path).fetch(vectors["tdx_v5"].quote, url)

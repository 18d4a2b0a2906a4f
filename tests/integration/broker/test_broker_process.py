"""A release over TLS from a simulated TD, and the life of the broker process."""

import json
import signal
import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.jwk import OKPKey

from ppml_ops.attestation.evidence import NoTeeProvider
from ppml_ops.broker.audit import verify_audit
from ppml_ops.broker.client import BrokerClient, BrokerInfo
from ppml_ops.broker.pki import tls_files
from ppml_ops.broker.serve import serve
from ppml_ops.errors import ConfigError, DeniedError, IntegrityError, TransientError
from ppml_ops.files import private_dir
from ppml_ops.keys import KeyRef, key_service_for
from ppml_ops.keys.broker import read_endpoint
from ppml_ops.keys.local import LocalKeyService
from ppml_sim.platform import Platform

from .conftest import Site


def test_attested_release_over_tls(site: Site) -> None:
    client = site.broker.client()
    ticket, td = site.ticket(), site.td("g1")
    bundle = client.release(ticket, td, "g1", "tdx")
    assert bundle.datasets[0].key_bytes == site.data_key
    assert bundle.simulated
    times = []
    for _ in range(5):
        start = time.perf_counter()
        client.release(ticket, td, "g1", "tdx")
        times.append((time.perf_counter() - start) * 1000)
    print(f"\none attested release: {sorted(times)[2]:.1f} ms (median of 5)")
    assert sorted(times)[2] < 2000
    records = client.releases("5" * 32)
    assert [record.body.get("activation") for record in records] == [1, 2, 3, 4, 5, 6]
    assert records[0].digest == bundle.release


def test_wrong_code_is_denied_with_the_reason(site: Site) -> None:
    ticket = site.ticket(jti="6" * 32, job_digest="00" * 48)
    with pytest.raises(DeniedError, match=r"job_digest is .*, wanted 0000") as caught:
        site.broker.client().release(ticket, site.td("g1"), "g1", "tdx")
    assert caught.value.next_step.startswith("compare each reason")
    assert caught.value.who == "the data owner"


def test_no_tee_is_denied(site: Site) -> None:
    with pytest.raises(DeniedError, match="UNATTESTED"):
        site.broker.client().release(site.ticket(jti="7" * 32), NoTeeProvider(), "g1", "none")


def test_dry_run(site: Site) -> None:
    client = site.broker.client()
    assert client.appraise(site.ticket(jti="8" * 32), site.td("g1"), "tdx").allow
    refused = client.appraise(site.ticket(jti="8" * 32, purpose="gwas"), site.td("g1"), "tdx")
    assert not refused.allow
    assert "purpose" in refused.explain()
    assert client.releases("8" * 32) == []


def test_owner_calls(site: Site) -> None:
    client = site.broker.client()
    assert client.list_policies() == ["sim-people"]
    assert json.loads(client.get_policy("sim-people"))["dataset"] == "sim-people"
    ticket = site.ticket(jti="9" * 32)
    client.revoke_ticket("9" * 32)
    with pytest.raises(DeniedError, match="was revoked"):
        client.release(ticket, site.td("g1"), "g1", "tdx")
    with pytest.raises(ConfigError, match="has no policy"):
        client.get_policy("sim-nothing")
    url, ca = read_endpoint(site.home / "broker")
    with pytest.raises(DeniedError, match="needs the owner's token"):
        BrokerClient(url, ca, token="wrong").list_policies()


def test_local_wraps_are_released_when_configured(site: Site) -> None:
    service = LocalKeyService(site.home / "keys")
    wrapped = service.wrap(service.create(KeyRef.parse("local:people")), site.data_key, "sim-people")
    dataset = {
        "dataset": "sim-people",
        "mode": "read",
        "version": 1,
        "manifest_digest": "cd" * 32,
        "data_key_id": "ef" * 16,
        "wraps": [wrapped.model_dump()],
    }
    ticket = site.ticket(jti="a" * 32, datasets=[dataset])
    bundle = site.broker.client().release(ticket, site.td("g1"), "g1", "tdx")
    assert bundle.datasets[0].key_bytes == site.data_key


def test_only_the_pinned_ca_is_trusted(site: Site, tmp_path: Path) -> None:
    url, ca = read_endpoint(site.home / "broker")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{url}/ppml/v1/info", timeout=5)
    other = tls_files(private_dir(tmp_path / "other"), [], datetime.now(UTC)).ca
    with pytest.raises(ConfigError, match="did not prove"):
        BrokerClient(url, other).info()
    with pytest.raises(ConfigError, match="https"):
        BrokerClient(url.replace("https", "http"), ca).info()
    with pytest.raises(ConfigError, match="CA file"):
        BrokerClient(url, tmp_path / "missing.pem").info()


def test_certificate_satisfies_strict_verification(site: Site) -> None:
    url, ca = read_endpoint(site.home / "broker")
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    port = int(url.rsplit(":", 1)[1])
    for name in ("127.0.0.1", "localhost"):
        plain = socket.create_connection(("127.0.0.1", port), 5)
        with context.wrap_socket(plain, server_hostname=name) as secure:
            assert secure.version() in ("TLSv1.2", "TLSv1.3")


def test_a_reply_signed_by_another_broker_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JWE alone proves nothing: whoever saw the TEE's key could make one."""
    stranger = OKPKey.generate_key("Ed25519")
    monkeypatch.setattr(BrokerInfo, "key", property(lambda _self: stranger))
    with pytest.raises(IntegrityError, match="not signed by the broker"):
        site.broker.client().release(site.ticket(jti="b" * 32), site.td("g1"), "g1", "tdx")


def test_files_of_the_endpoint(site: Site) -> None:
    path = site.home / "broker" / "endpoint.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(path.read_bytes())) == {"url", "ca", "pid"}
    assert json.loads(path.read_bytes())["pid"] == site.broker.process.pid


def test_one_broker_per_home(site: Site) -> None:
    with pytest.raises(ConfigError, match="another key broker serves"):
        serve(site.home, site.home / "sim" / "root.der", site.home / "sim" / "collateral.json")


def test_stop_restart_kill_and_restart(site: Site) -> None:
    """SIGTERM ends it with 0; counts and keys survive; after SIGKILL it starts again and the log verifies."""
    key = site.broker.client().info().key.raw_value
    assert isinstance(key, Ed25519PublicKey)
    ticket = site.ticket(jti="c" * 32, max_activations=2)
    site.broker.client().release(ticket, site.td("g1"), "g1", "tdx")
    client = site.broker.client()
    assert site.broker.stop() == 0
    assert not (site.home / "broker" / "endpoint.json").exists()
    with pytest.raises(TransientError, match="ppml-ops broker serve"):
        client.info()
    with pytest.raises(TransientError, match="ppml-ops broker serve"):
        key_service_for("broker:", home=site.home).list()

    other = private_dir(site.home.parent / "other-home")
    platform = Platform(other)
    platform.close()
    with pytest.raises(ConfigError, match="created for trust domain"):
        serve(site.home, other / "sim" / "root.der", other / "sim" / "collateral.json")

    site.broker.start()
    site.broker.client().release(ticket, site.td("g1"), "g1", "tdx")
    site.broker.stop(signal.SIGKILL)
    with pytest.raises(TransientError, match="ppml-ops broker serve"):
        site.broker.client().info()
    (site.home / "broker" / "endpoint.json").unlink()
    site.broker.start()
    with pytest.raises(DeniedError, match="activations_used is 2"):
        site.broker.client().release(ticket, site.td("g1"), "g1", "tdx")
    records = verify_audit(site.home / "broker" / "audit.jsonl", key)
    assert records[-1].body.event == "denial"


def test_a_broker_comes_back_where_running_jobs_look_for_it(site: Site) -> None:
    url, _ = read_endpoint(site.home / "broker")
    for number in (signal.SIGTERM, signal.SIGKILL):
        site.broker.stop(number)
        (site.home / "broker/endpoint.json").unlink(missing_ok=True)
        site.broker.start()
        assert read_endpoint(site.home / "broker")[0] == url
    site.broker.stop()
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
        site.broker.start()
        assert read_endpoint(site.home / "broker")[0] != url


def test_serves_in_a_thread_until_told_to_stop(site: Site, tmp_path: Path) -> None:
    home = private_dir(tmp_path / "home")
    stop = threading.Event()
    files = site.home / "sim" / "root.der", site.home / "sim" / "collateral.json"
    thread = threading.Thread(target=serve, args=(home, *files), kwargs={"stop": stop})
    thread.start()
    try:
        endpoint = home / "broker" / "endpoint.json"
        while not endpoint.exists():
            assert thread.is_alive()
            time.sleep(0.02)
        assert BrokerClient(*read_endpoint(home / "broker")).info().trust_domain == site.platform.trust_domain
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert not endpoint.exists()


def test_a_port_in_use_is_a_clear_error(site: Site, tmp_path: Path) -> None:
    home = private_dir(tmp_path / "home")
    port = int(read_endpoint(site.home / "broker")[0].rsplit(":", 1)[1])
    with pytest.raises(ConfigError, match="can't listen"):
        serve(home, site.home / "sim" / "root.der", site.home / "sim" / "collateral.json", port=port)
    with pytest.raises(ConfigError, match="can't be read"):
        serve(home, home / "missing.der", site.home / "sim" / "collateral.json")

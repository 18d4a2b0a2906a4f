"""Shredding with a real key broker: it signs what it erased, and releases nothing for an old ticket."""

import json
import uuid
from pathlib import Path

import pytest

from ppml_ops.broker.jose import public_jwk
from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import ManifestHead, Producer
from ppml_ops.datasets.seal import find_sources, seal_sources
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import DeniedError, IntegrityError
from ppml_ops.keys import KeyRef, key_service_for
from ppml_ops.maintenance.destruction import verify_destruction
from ppml_ops.maintenance.shred import plan_shredding, shred
from ppml_ops.receipts.anchors import Anchors
from ppml_ops.receipts.signed import sign_document

from .conftest import Site


def test_a_shredded_version_is_gone_for_old_tickets_too_and_the_broker_says_so(
    site: Site, tmp_path: Path
) -> None:
    service = key_service_for("broker:", home=site.home)
    wrap = service.wrap(KeyRef.parse("broker:people"), site.data_key, "sim-people")
    (tmp_path / "people.csv").write_text("name\nAda\n")
    store = DatasetStore(Folder(tmp_path / "sealed"))
    head = ManifestHead(
        dataset="sim-people",
        data_key_id=uuid.uuid4().hex,
        schema=None,
        partition={},
        wraps=(wrap,),
        previous=None,
        producer=Producer(run="cli", spec=""),
        trust_domain=site.platform.trust_domain,
    )
    manifest = seal_sources(
        find_sources(str(tmp_path / "people.csv")), store, head, 1, site.data_key, table="people"
    )
    binding = {
        "dataset": "sim-people",
        "mode": "read",
        "version": 1,
        "manifest_digest": manifest.digest,
        "data_key_id": manifest.data_key_id,
        "wraps": [wrap.model_dump()],
    }
    ticket = site.ticket(datasets=[binding])
    client = site.broker.client()
    assert client.release(ticket, site.td("g1"), "g1", "tdx").datasets[0].key_bytes == site.data_key

    folders = [store.folder]
    plan = plan_shredding(site.home, store, 1, folders)
    record = shred(site.home, plan, site.owner, now=1, searched=folders, plaintext=[])
    with pytest.raises(DeniedError, match="was erased"):
        client.release(ticket, site.td("g2"), "g2", "tdx")

    info = client.info()
    anchors = Anchors(
        trust_domain=info.trust_domain,
        simulated=True,
        broker_keys=(info.broker_key,),
        owner_keys=(public_jwk(site.owner),),
        receipt_signers=(),
    )
    data = canonical_json(record.model_dump(mode="json"))
    assert verify_destruction(data, anchors).by_broker == 1

    # Not even the owner can make the broker's statement speak of something else.
    for change in ({"wrapped": "0" * 64}, {"key": "broker:other?version=1"}):
        document = json.loads(data)
        document["wraps"][0] |= change
        with pytest.raises(IntegrityError, match="something else"):
            verify_destruction(canonical_json(sign_document(document, site.owner)), anchors)
    document = json.loads(data)
    document["wraps"][0]["record"]["body"]["dataset"] = "sim-other"
    with pytest.raises(IntegrityError, match="not signed by the broker"):
        verify_destruction(canonical_json(sign_document(document, site.owner)), anchors)

"""Shredded means: no copy of a wrap opens any more, other data do, and the record of it can't be made up."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from ppml_ops.broker.jose import public_jwk
from ppml_ops.broker.tickets import owner_key
from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.rewrap import rewrap_version
from ppml_ops.datasets.store import DatasetStore, VersionTakenError
from ppml_ops.datasets.tombstone import Tombstone
from ppml_ops.datasets.unseal import open_version
from ppml_ops.errors import ConfigError, DataError, DeniedError, IntegrityError
from ppml_ops.keys.model import KeyRef
from ppml_ops.lifecycle.data_keys import open_data_key
from ppml_ops.lifecycle.original import EXPORT
from ppml_ops.maintenance.destruction import Destruction, verify_destruction
from ppml_ops.maintenance.shred import opened_copies, plan_shredding, shred
from ppml_ops.receipts.anchors import Anchors
from ppml_ops.receipts.records import Records
from ppml_ops.receipts.signed import sign_document
from tests.unit.maintenance.conftest import Site

NOW = 1_790_000_000


def do(site: Site, version: int, store: DatasetStore | None = None) -> Destruction:
    searched = [Folder(site.storage)]
    plan = plan_shredding(site.home, store or site.store(), version, searched)
    owner = owner_key(site.home / "owner" / "key.jwk")
    return shred(site.home, plan, owner, now=NOW, searched=searched, plaintext=[])


def anchors(site: Site) -> Anchors:
    owner = public_jwk(owner_key(site.home / "owner" / "key.jwk"))
    return Anchors(
        trust_domain="0" * 64, simulated=True, broker_keys=(), owner_keys=(owner,), receipt_signers=()
    )


def test_every_copy_of_a_shredded_version_is_useless_and_others_open(site: Site, tmp_path: Path) -> None:
    first, second = site.seal(text="name\nAda\n"), site.seal(text="name\nBob\n")
    copy = first.document()  # somebody kept the manifest, and the parts
    part = site.store().folder.read(first.parts[0].path, 1 << 20)
    record = do(site, 1)
    assert (record.versions, record.parts) == ({"1": first.digest}, 1)
    assert [wrap.how for wrap in record.wraps] == ["wrap-erased"]
    kept = type(first).model_validate(copy)
    with pytest.raises(DeniedError, match="was erased"):
        open_data_key(site.home, kept)
    assert not site.store().folder.is_file(first.parts[0].path)
    assert len(part) == first.parts[0].length
    with pytest.raises(DataError, match="version 1 of sim-people was shredded"):
        site.store().read(1)
    files = open_version(site.store(), second, open_data_key(site.home, second), tmp_path / "opened")
    assert files[0].read_text() == "name\nBob\n"


def test_numbers_of_shredded_versions_are_not_used_again(site: Site) -> None:
    first = site.seal()
    do(site, 1)
    assert site.store().versions() == []
    assert site.seal().version == 2
    with pytest.raises(VersionTakenError):
        site.store().publish(first)


def test_versions_under_one_data_key_go_together_and_their_shared_parts_with_them(site: Site) -> None:
    first = site.seal()
    key = open_data_key(site.home, first)
    site.keys.rotate(KeyRef.parse("local:sim-people"))
    wrap = site.keys.wrap(KeyRef.parse("local:sim-people"), key, "sim-people")
    second = rewrap_version(site.store(), first, key, (wrap,))
    third = site.seal(text="name\nEve\n")
    record = do(site, 1)
    assert set(record.versions) == {"1", "2"}
    for manifest in (first, second):
        with pytest.raises(DeniedError):
            open_data_key(site.home, manifest)
    assert site.store().versions() == [3]
    open_data_key(site.home, third)


def test_a_primary_key_that_other_data_need_is_not_destroyed(site: Site) -> None:
    site.seal(erasable=False)
    other = site.seal(text="name\nBob\n")
    with pytest.raises(ConfigError, match=r"date=2026-11-20 version 2"):
        do(site, 1)
    assert site.store().versions() == [1, 2], "nothing was done"
    open_data_key(site.home, other)


def test_without_wrap_secrets_the_primary_key_goes_when_nothing_else_needs_it(site: Site) -> None:
    manifest = site.seal(erasable=False)
    record = do(site, 1)
    assert [wrap.how for wrap in record.wraps] == ["key-destroyed"]
    with pytest.raises(DeniedError, match="destroyed"):
        open_data_key(site.home, manifest)


@pytest.mark.parametrize("cut", ["_destroy", "_must_be_refused", "_record"])
def test_a_cut_leaves_a_version_that_says_what_it_is_and_can_be_gone_on_with(
    site: Site, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    site.seal()
    site.seal(text="name\nBob\n")

    def power_cut(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(f"ppml_ops.maintenance.shred.{cut}", power_cut)
        do(site, 1)
    with pytest.raises(DataError, match="version 1 of sim-people is being shredded"):
        site.store().read(1)
    assert site.store().versions() == [2]
    assert do(site, 1).versions.keys() == {"1"}
    assert site.store().tombstone(1).state == "done"


def test_a_cut_while_the_bytes_are_removed_is_gone_on_with(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = site.seal()
    remove = Folder.remove

    def cut(self: Folder, path: str = "") -> None:
        if path.startswith("t/"):
            raise KeyboardInterrupt
        remove(self, path)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Folder, "remove", cut)
        do(site, 1)
    assert site.store().folder.is_file(manifest.parts[0].path)
    do(site, 1)
    assert not site.store().folder.is_file(manifest.parts[0].path)
    with pytest.raises(DataError, match="was shredded"):
        do(site, 1)


@pytest.mark.parametrize("where", ["manifest", "tombstone"])
def test_a_changed_manifest_can_not_take_other_data_along(site: Site, where: str) -> None:
    """Whoever may write to the storage puts the wraps of another version into the one that is to go."""
    doomed, other = site.seal(), site.seal(text="name\nBob\n")
    document = doomed.document() | {"wraps": [wrap.model_dump() for wrap in (*doomed.wraps, *other.wraps)]}
    folder = site.store().folder
    if where == "manifest":
        folder.local("_manifest/1.json").write_bytes(canonical_json(document))
    else:
        folder.local("_removed").mkdir()
        forged = Tombstone(
            dataset="sim-people", version=1, kind="shredded", state="begun", at=1, manifest=document
        )
        folder.local("_removed/1.json").write_bytes(forged.encode())
    with pytest.raises(IntegrityError, match="not authentic"):
        do(site, 1)
    open_data_key(site.home, other)
    open_data_key(site.home, doomed)


def test_a_version_that_does_not_exist_can_not_be_shredded(site: Site) -> None:
    site.seal()
    with pytest.raises(DataError):
        do(site, 7)


def test_the_record_verifies_and_any_changed_byte_does_not(site: Site) -> None:
    site.seal()
    data = canonical_json(do(site, 1).model_dump(mode="json"))
    assert verify_destruction(data, anchors(site)).by_broker == 0, (
        "local: signs nothing, and the command says so"
    )
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(IntegrityError, match="not authentic"):
            verify_destruction(bytes(changed), anchors(site))
    document = json.loads(data)
    stranger = canonical_json(sign_document(document, OKPKey.generate_key("Ed25519")))
    with pytest.raises(IntegrityError, match="signer"):
        verify_destruction(stranger, anchors(site))


def test_the_record_lies_in_the_tombstone(site: Site) -> None:
    site.seal()
    record = do(site, 1)
    assert site.store().tombstone(1).record == record.model_dump(mode="json")


def test_opened_copies_of_a_version_are_found(site: Site) -> None:
    first, second = site.seal(), site.seal()
    for run, results in (("one", {"sim-other": "0" * 64, "sim-people": first.digest}), ("two", {})):
        (site.home / "data" / run / "result").mkdir(parents=True)
        with Records(site.home / "runs" / run / "records").recording("merge") as facts:
            facts["results"] = results
    searched = [Folder(site.storage)]
    plan = plan_shredding(site.home, site.store(), first.version, searched)
    (site.home / "data" / "one" / EXPORT).mkdir()
    assert opened_copies(site.home, plan) == [site.home / "data" / "one" / name for name in ("result", EXPORT)]
    assert opened_copies(site.home, plan_shredding(site.home, site.store(), second.version, searched)) == []

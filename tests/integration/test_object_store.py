"""Sealed parts in a real S3 interface (moto over HTTP): placed, looked at, taken home, published once."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.topology import assemble, held, place
from ppml_ops.errors import ConfigError, IntegrityError, TransientError
from ppml_ops.lifecycle.inputs import hadoop_uri
from ppml_ops.lifecycle.preflight_cluster import check_store
from tests.support.object_store import BUCKET, buckets, objects, running_store
from tests.unit.maintenance.conftest import Site


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_store("127.0.0.1"):
        yield f"s3://{BUCKET}"


@pytest.fixture
def folder(url: str) -> Iterator[Folder]:
    made = Folder(f"{url}/{uuid.uuid4().hex}")
    yield made
    made.remove()
    assert made.files() == []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "home")
    made.seal()
    return made


def on(node: str, manifest: Manifest) -> Manifest:
    return manifest.model_copy(
        update={"parts": tuple(part.model_copy(update={"node": node}) for part in manifest.parts)}
    )


def test_a_version_goes_there_and_home_again(folder: Folder, site: Site, tmp_path: Path) -> None:
    manifest = site.store().read()
    table = place(site.store(), manifest, folder)
    assert [line.sha256 for line in table] == [folder.checksum(part.path).sha256 for part in manifest.parts]
    assert DatasetStore(folder).read() == manifest
    place(site.store(), manifest, folder)  # again
    parts = held("object-store", folder, on("object-store", manifest))
    assert len(parts) == len(manifest.parts)
    target = DatasetStore(Folder(tmp_path / "target"))
    assemble([folder], manifest, target)
    assert target.read() == manifest


def test_changed_and_missing_parts_are_seen(folder: Folder, site: Site) -> None:
    manifest = site.store().read()
    place(site.store(), manifest, folder)
    there, path = on("object-store", manifest), manifest.parts[0].path
    with folder.open_write(path) as file:
        file.write(b"short")
    with pytest.raises(IntegrityError, match="is missing or not the one written"):
        held("object-store", folder, there)
    folder.remove(path)
    with pytest.raises(IntegrityError, match="is missing or not the one written"):
        held("object-store", folder, there)


def test_one_writer_publishes(folder: Folder) -> None:
    folder.create_only("_manifest/1.json", b"first")
    with pytest.raises(FileExistsError):
        folder.create_only("_manifest/1.json", b"second")
    assert folder.read("_manifest/1.json", 100) == b"first"


def test_the_store_is_tried_before_a_run_counts_on_it(folder: Folder, url: str) -> None:
    check_store(folder)
    assert not [key for key in objects() if "_preflight" in key]
    with pytest.raises(ConfigError, match=r"nobody-has-it/x can't be used from this worker.*no such bucket"):
        check_store(Folder("s3://nobody-has-it/x"))
    assert buckets() == [BUCKET], "nobody made the missing one"


def test_what_the_store_does_not_remove_is_no_success(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    with folder.open_write("a/b") as file:
        file.write(b"1")
    with monkeypatch.context() as refusing:
        refusing.setattr(folder._fs, "rm", lambda *_a, **_k: None)  # s3fs passes over keys that are refused
        with pytest.raises(ConfigError, match=r"1 objects below .* could not be removed"):
            folder.remove()
    folder.remove()
    assert folder.files() == []


def test_a_store_that_is_away_is_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(TransientError, match=r"does not answer as it should .EndpointConnectionError"):
            check_store(Folder("s3://away/x"))
    finally:
        S3FileSystem.clear_instance_cache()


def test_hadoop_calls_the_scheme_s3a(folder: Folder) -> None:
    assert hadoop_uri(folder) == f"s3a://{folder.root}"

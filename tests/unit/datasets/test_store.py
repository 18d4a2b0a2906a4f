"""Sealing, opening, verifying and moving data sets, locally and on an object store."""

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.canonical import canonical_json
from ppml_ops.crypto.sealed import SealedWriter
from ppml_ops.datasets import seal
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import Manifest, build_manifest, parse_manifest
from ppml_ops.datasets.seal import find_sources, seal_sources
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.topology import assemble, collect, place
from ppml_ops.datasets.unseal import open_part, open_version, verify_version
from ppml_ops.errors import ConfigError, DataError, IntegrityError
from tests.unit.datasets.conftest import KEY, Sealed, head


def overwrite(folder: Folder, path: str, data: bytes) -> None:
    with folder.open_write(path) as file:
        file.write(data)


def test_opens_to_what_was_sealed(sealed: Sealed, tmp_path: Path) -> None:
    store, manifest, plain = sealed
    done: list[int] = []
    paths = open_version(store, store.read(), KEY, tmp_path / "out", done.append)
    assert {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in paths} == plain
    assert sum(done) == sum(map(len, plain.values()))
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert verify_version(store, manifest, KEY) == []
    with open_part(store, manifest, manifest.parts[2], KEY) as part:
        part.seek(1_500_000)
        assert part.read(5) == plain[manifest.parts[2].path][1_500_000:1_500_005]


def test_an_existing_target_is_left_alone(sealed: Sealed, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists"):
        open_version(sealed.store, sealed.manifest, KEY, tmp_path)


@pytest.mark.parametrize("kind", ["missing", "empty", "cut", "replaced", "flipped", "wrong key"])
def test_damaged_parts_are_named_and_nothing_is_opened(sealed: Sealed, tmp_path: Path, kind: str) -> None:
    store, manifest, _ = sealed
    path = manifest.parts[1].path
    good = store.folder.read(path, 1 << 22)
    key = KEY
    match kind:
        case "missing":
            store.folder.remove(path)
        case "empty":
            overwrite(store.folder, path, b"")
        case "cut":
            overwrite(store.folder, path, good[:-1])
        case "replaced":  # authentic, of equal length, under the same key: only the header tells
            other = io.BytesIO()
            with SealedWriter(other, KEY, b"sim-people") as writer:
                writer.write(bytes(1 << 20))
            overwrite(store.folder, path, other.getvalue())
        case "flipped":
            overwrite(store.folder, path, good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
        case "wrong key":
            key = bytes(32)
    with pytest.raises(IntegrityError) as error:
        open_version(store, manifest, key, tmp_path / "out")
    if kind in ("missing", "empty", "cut", "replaced"):
        assert path in str(error.value)
    with pytest.raises(IntegrityError):
        verify_version(store, manifest, key)
    assert not list(tmp_path.glob("*out*"))


def test_a_part_exchanged_after_the_check_is_found(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All parts open under one key, so a copy of part 0 in place of part 2 has no wrong tag."""
    store, manifest, _ = sealed
    monkeypatch.setattr(DatasetStore, "check_parts", lambda *_: None)
    overwrite(store.folder, manifest.parts[2].path, store.folder.read(manifest.parts[0].path, 1 << 22))
    with pytest.raises(IntegrityError, match="replaced"):
        open_version(store, manifest, KEY, tmp_path / "out")
    with pytest.raises(IntegrityError, match="replaced"):
        verify_version(store, manifest, KEY)


def test_strangers_are_reported_by_verify(sealed: Sealed) -> None:
    overwrite(sealed.store.folder, "people/extra.csv", b"x")
    assert verify_version(sealed.store, sealed.manifest, KEY) == ["people/extra.csv"]


def test_one_of_two_racing_writers_wins_and_the_loser_leaves_nothing(tmp_path: Path, inputs: Path) -> None:
    store = DatasetStore(Folder(tmp_path / "store"))
    results: list[object] = []

    def write(key_id: str) -> None:
        try:
            results.append(
                seal_sources(find_sources(str(inputs)), store, head(key_id=key_id), 1, KEY, table="people")
            )
        except DataError as error:
            results.append(error)

    threads = [threading.Thread(target=write, args=(f"{n}" * 32,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, DataError) for result in results) == 2
    assert store.strangers(store.read()) == []
    assert verify_version(store, store.read(), KEY) == []


def test_reserved_versions_differ_and_lie_above_published_ones(sealed: Sealed) -> None:
    assert [sealed.store.reserve(f"run-{n}") for n in range(3)] == [2, 3, 4]
    assert sealed.store.reserve("run-1") == 3, "a run that was killed and tried again keeps its number"
    assert sealed.store.versions() == [1]
    assert verify_version(sealed.store, sealed.manifest, KEY) == []


def test_a_failed_seal_publishes_nothing(tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = find_sources(str(inputs))
    (inputs / "c.csv").unlink()
    store = DatasetStore(Folder(tmp_path / "store"))
    with pytest.raises(FileNotFoundError):
        seal_sources(sources, store, head(), 1, KEY, table="people")
    assert store.versions() == []
    assert [name for name in store.folder.files() if "part-" in name] == []


def test_a_single_file_is_one_source(inputs: Path) -> None:
    assert [(source.name, source.length) for source in find_sources(str(inputs / "a.csv"))] == [("a.csv", 10)]


@pytest.mark.parametrize("name", ["nothing", "empty.csv"])
def test_missing_and_empty_inputs_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match=name):
        find_sources(str(tmp_path / name))


def test_versions_of_other_files_are_not_versions(sealed: Sealed) -> None:
    for name in ("01.json", "x.json", "2.json.tmp"):
        overwrite(sealed.store.folder, f"_manifest/{name}", b"{}")
    assert sealed.store.versions() == [1]
    with pytest.raises(DataError, match="version 7"):
        sealed.store.read(7)
    overwrite(sealed.store.folder, "_manifest/3.json", sealed.manifest.encode())
    with pytest.raises(IntegrityError, match="manifest of version 1"):
        sealed.store.read()


def test_place_collect_assemble_bring_every_part_home(sealed: Sealed, tmp_path: Path) -> None:
    nodes = {name: Folder(tmp_path / name) for name in ("node-a", "node-b")}
    tables = [place(sealed.store, sealed.manifest, node) for node in nodes.values()]
    assert tables[0] == tables[1]
    assert place(sealed.store, sealed.manifest, nodes["node-a"]) == tables[0], "may run again"

    spread = sealed.manifest.model_copy(
        update={
            "parts": tuple(
                part.model_copy(update={"node": name})
                for part, name in zip(sealed.manifest.parts, ("node-a", "node-b", "node-a"), strict=True)
            )
        }
    )
    for name, node in nodes.items():
        for part in spread.parts:
            if part.node != name:
                node.remove(part.path)
    homes = []
    for name, node in nodes.items():
        home = Folder(tmp_path / "home" / name)
        assert [line.path for line in collect(name, node, spread, home)] == [
            part.path for part in spread.parts if part.node == name
        ]
        homes.append(home)
    target = DatasetStore(Folder(tmp_path / "target"))
    assemble(homes, spread, target)
    assemble(homes, spread, target)
    target.check_parts(spread)

    nodes["node-b"].remove(spread.parts[1].path)
    with pytest.raises(IntegrityError, match="missing"):
        collect("node-b", nodes["node-b"], spread, Folder(tmp_path / "again"))
    with pytest.raises(IntegrityError, match="missing"):
        assemble(homes[:1], spread, DatasetStore(Folder(tmp_path / "incomplete")))


def test_placing_over_another_manifest_is_refused(sealed: Sealed, tmp_path: Path) -> None:
    node = Folder(tmp_path / "node")
    overwrite(node, "_manifest/1.json", sealed.manifest.model_copy(update={"mac": "0" * 64}).encode())
    with pytest.raises(IntegrityError, match="another manifest"):
        place(sealed.store, sealed.manifest, node)


def test_a_call_that_fails_after_publishing_keeps_the_parts(
    tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the folder can't be synced, or a signal comes: the version exists, so its parts must."""
    store = DatasetStore(Folder(tmp_path / "store"))
    publish = store.publish

    def publish_and_fail(manifest: Manifest) -> None:
        publish(manifest)
        raise OSError("the disk went away")

    monkeypatch.setattr(store, "publish", publish_and_fail)
    with pytest.raises(OSError, match="went away"):
        seal_sources(find_sources(str(inputs)), store, head(), 1, KEY, table="people")
    assert verify_version(store, store.read(1), KEY) == []


def test_parts_that_somebody_took_away_are_not_published(
    tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DatasetStore(Folder(tmp_path / "store"))

    def removed(*arguments: Any, **named: Any) -> Manifest:
        manifest = build_manifest(*arguments, **named)
        store.folder.remove(manifest.parts[0].path)
        return manifest

    monkeypatch.setattr(seal, "build_manifest", removed)
    with pytest.raises(IntegrityError, match="is missing"):
        seal_sources(find_sources(str(inputs)), store, head(), 1, KEY, table="people")
    assert store.versions() == []
    assert store.folder.files() == []


@pytest.mark.parametrize("path", ["_manifest/1.json", "_removed/1.json", "people/.hidden", "_logs/x", "a/_b/c"])
def test_no_part_lies_where_the_store_keeps_its_own_files(sealed: Sealed, path: str) -> None:
    document = sealed.manifest.document()
    document["parts"][0]["path"] = path
    with pytest.raises(IntegrityError):
        parse_manifest(canonical_json(document))
    document["parts"][0]["path"] = "people/_day=1/part-0"
    assert parse_manifest(canonical_json(document)).parts[0].path == "people/_day=1/part-0"

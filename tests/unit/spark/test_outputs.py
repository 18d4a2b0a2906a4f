from pathlib import Path

import pytest

from ppml_ops.crypto.sealed import SealedWriter
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import ManifestHead, Producer
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import WorkloadError
from ppml_ops.keys.model import WrappedKey
from ppml_ops.spark.outputs import Output, reconcile
from ppml_ops.spark.placement import Base, Binding

KEY = bytes(range(32))
DATA_KEY_ID = "0123456789ab" + "0" * 20
MARK = DATA_KEY_ID[:12]
WRAP = WrappedKey(key="local:result?version=1", algorithm="HKDF-SHA256+A256KW", wrapped="A" * 53 + "A==")


@pytest.fixture
def binding(tmp_path: Path) -> Binding:
    bases = tuple(Base(node=node, uri=(tmp_path / node).as_uri()) for node in ("node-a", "node-b"))
    return Binding(dataset="result", bases=bases)


@pytest.fixture
def output() -> Output:
    head = ManifestHead(
        dataset="result",
        data_key_id=DATA_KEY_ID,
        schema=None,
        partition={},
        wraps=(WRAP,),
        previous=None,
        producer=Producer(run="r", spec="0"),
        trust_domain="1" * 64,
    )
    return Output("result", KEY, 3, head.document())


def write(tmp_path: Path, path: str) -> None:
    target = tmp_path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink, SealedWriter(sink, KEY, b"result") as writer:
        writer.write(b"words\n")


def store(tmp_path: Path) -> DatasetStore:
    return DatasetStore(Folder(tmp_path / "node-a"))


def test_parts_of_an_rdd_writer_become_the_version_of_the_ticket(
    tmp_path: Path, binding: Binding, output: Output
) -> None:
    for path in ("node-a/words/part-00000", "node-a/words/_SUCCESS", "node-b/words/part-00001"):
        write(tmp_path, path)
    write(tmp_path, "node-a/_logs/r-g1.log")
    write(tmp_path, "node-b/words/_temporary/0/part-00001")
    assert reconcile(binding, output) == ["words/part-00000", "words/part-00001"]
    manifest = store(tmp_path).read(3)
    manifest.check(KEY)
    assert {part.path: part.node for part in manifest.parts} == {
        f"words/part-00000-{MARK}": "node-a",
        f"words/part-00001-{MARK}": "node-b",
    }
    assert reconcile(binding, output) == []


def test_nothing_written_is_nothing_to_do(tmp_path: Path, binding: Binding, output: Output) -> None:
    assert reconcile(binding, output) == []
    assert store(tmp_path).versions() == []


def test_unfinished_writes_are_named_and_not_published(
    tmp_path: Path, binding: Binding, output: Output
) -> None:
    write(tmp_path, "node-b/words/part-00001")
    with pytest.raises(WorkloadError, match=r"words/part-00001; their folder has no _SUCCESS"):
        reconcile(binding, output)
    assert store(tmp_path).versions() == []


def test_files_beside_a_published_version_are_named(tmp_path: Path, binding: Binding, output: Output) -> None:
    for path in ("node-a/words/part-00000", "node-a/words/_SUCCESS"):
        write(tmp_path, path)
    reconcile(binding, output)
    for number in range(12):
        write(tmp_path, f"node-a/more/part-{number:05d}")
    with pytest.raises(WorkloadError, match=r"more/part-00000, .* and 2 more; the job published other files"):
        reconcile(binding, output)


def test_of_a_data_set_on_several_nodes_nothing_is_adopted(tmp_path: Path) -> None:
    """What lies in this node's folder may be of a lost attempt, and the others can't be seen."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/part-0").write_bytes(bytes(60))
    spread = Binding(dataset="result", bases=(Base(node="a", uri=tmp_path.as_uri()),), spread=True)
    assert reconcile(spread, Output("result", bytes(32), 1, {})) == []
    assert not (tmp_path / "_manifest").exists()

import base64
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s import bundle
from ppml_ops.spark.k8s.bundle import config_maps, pack, unpack
from tests.unit.spark.k8s.pod_builders import GENERATION, plan


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_arrives(tmp_path: Path) -> None:
    code = tmp_path / "job.py"
    code.write_bytes(b"print(1)\n")
    unpack(pack(code), tmp_path / "there")
    assert tree(tmp_path / "there") == {"job.py": b"print(1)\n"}


def test_a_folder_arrives_whole_in_several_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "PIECE_BYTES", 100)
    code = tmp_path / "code"
    (code / "lib" / "deep").mkdir(parents=True)
    (code / "main.py").write_bytes(b"import lib\n")
    (code / "lib" / "deep" / "b.bin").write_bytes(bytes(range(256)) * 3)
    pieces = pack(code)
    assert len(pieces) > 1 and all(len(piece) <= 100 for piece in pieces)
    unpack(pieces, tmp_path / "there")
    assert tree(tmp_path / "there") == tree(code)


def test_equal_trees_have_equal_packs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for file in ("one.py", "two.py") if name == "a" else ("two.py", "one.py"):
            (tmp_path / name / file).write_text(file)
    assert pack(tmp_path / "a") == pack(tmp_path / "b")


def test_too_much_is_refused_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "PIECE_BYTES", 10)
    monkeypatch.setattr(bundle, "MAX_PIECES", 2)
    (tmp_path / "job.py").write_text("x" * 100)
    with pytest.raises(ConfigError, match="image of your own"):
        pack(tmp_path / "job.py")


def tar(*entries: tarfile.TarInfo) -> list[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for entry in entries:
            made.addfile(entry, io.BytesIO(b"x" * entry.size))
    return [buffer.getvalue()]


def entry(name: str, size: int = 1, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = size
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize(
    "hostile",
    [
        tar(entry("../out.py")),
        tar(entry("/ppml/out.py")),
        tar(entry("link", 0, type=tarfile.SYMTYPE, linkname="/etc/passwd")),
        tar(entry("link", 0, type=tarfile.LNKTYPE, linkname="../x")),
        tar(entry("pipe", 0, type=tarfile.FIFOTYPE)),
        [b"no tar"],
        [],
        [tar(entry("a", 100))[0][:-30]],
    ],
)
def test_a_hostile_pack_is_refused_and_nothing_lies_outside(tmp_path: Path, hostile: list[bytes]) -> None:
    with pytest.raises(ConfigError, match="can't be unpacked"):
        unpack(hostile, tmp_path / "there")
    assert not (tmp_path / "out.py").exists()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(ConfigError):
        unpack(tar(entry("a", 600), entry("b", 600)), tmp_path / "there")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?\.py", fullmatch=True), st.binary(max_size=500)))
def test_any_tree_comes_back(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "code").mkdir()
    for name, content in files.items():
        path = folder / "code" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    unpack(pack(folder / "code"), folder / "there")
    assert tree(folder / "there") == files


def test_config_maps_are_immutable_and_of_this_try() -> None:
    made = config_maps(plan(code_pieces=2), "w", {"job.json": b"{}"}, [b"one", b"two"])
    assert [one["metadata"]["name"] for one in made] == [
        GENERATION,
        f"{GENERATION}-code-000",
        f"{GENERATION}-code-001",
    ]
    assert all(one["immutable"] and one["metadata"]["labels"] == plan().labels for one in made)
    assert base64.b64decode(made[2]["binaryData"]["code.001"]) == b"two"

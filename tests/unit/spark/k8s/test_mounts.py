import pytest

from ppml_ops.errors import DeniedError
from ppml_ops.spark.k8s.mounts import check_in_memory

ROOT = "719 516 0:237 / / ro,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b"


def mount(point: str, kind: str = "tmpfs", optional: str = "") -> str:
    return f"736 719 0:223 / {point} rw,relatime {optional}- {kind} {kind} rw,size=10240k,noswap"


def test_folders_that_are_mounts_in_memory_pass() -> None:
    lines = [
        ROOT,
        mount("/ppml/local", "ext4"),
        mount("/ppml/work"),
        mount("/tmp", optional="master:1 shared:2 "),
    ]
    check_in_memory("\n".join(lines) + "\n", ("/ppml/work", "/tmp"))


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "is not in memory"),
        ([ROOT], "is not in memory"),
        ([ROOT, mount("/ppml")], "is not in memory"),
        ([ROOT, mount("/ppml/workshop")], "is not in memory"),
        ([ROOT, mount("/ppml/work", "ext4")], "is not in memory"),
        ([ROOT, mount("/ppml/work", "nfs4 - tmpfs")], "is not in memory"),
        ([ROOT, mount("/ppml/work"), mount("/ppml/work", "fuse.x")], "is not in memory"),
        ([ROOT, mount("/ppml/work"), mount("/ppml", "ext4")], "is not in memory"),
        ([ROOT, mount("/ppml/work"), mount("/ppml/work/g/work")], "has something mounted in it"),
        ([ROOT, mount("/ppml/work"), mount(r"/ppml/\167ork/g", "ext4")], "has something mounted in it"),
        (["/ppml/work tmpfs", "736 719 0:223 / /ppml/work rw -"], "is not in memory"),
    ],
)
def test_others_are_refused(lines: list[str], why: str) -> None:
    with pytest.raises(DeniedError, match=f"/ppml/work {why}"):
        check_in_memory("\n".join(lines), ("/ppml/work",))

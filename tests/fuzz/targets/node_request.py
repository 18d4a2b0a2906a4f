"""What comes to a node pod: frames that ask for files. Nothing outside its folder may be touched."""

import io
import tempfile
from contextlib import suppress
from pathlib import Path

from ppml_ops.spark.k8s.frames import BadFrameError
from ppml_ops.spark.k8s.nodepod import Session


def run(data: bytes) -> None:
    """Serve it in a folder with a link that leads out."""
    with tempfile.TemporaryDirectory() as name:
        root, outside = Path(name, "node"), Path(name, "outside")
        root.mkdir()
        outside.write_bytes(b"as it was")
        (root / "link").symlink_to(outside)
        with suppress(BadFrameError):
            Session(root, root / "device", io.BytesIO(data), io.BytesIO()).serve()
        assert outside.read_bytes() == b"as it was"
        assert sorted(path.name for path in Path(name).iterdir()) == ["node", "outside"]

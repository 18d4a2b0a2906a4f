"""The code bundle on its way into pods: packed, cut into pieces that fit into ConfigMaps, unpacked there. Pure.

The pack is a tar file whose bytes depend on the files' names and contents only. It is not trusted where it
arrives: what it unpacks to is measured against the job.
"""

import base64
import gzip
import io
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ppml_ops.errors import ConfigError
from ppml_ops.spark.k8s.names import code_name, config_name
from ppml_ops.spark.k8s.plan import CODE_PIECE, PodPlan

#: A ConfigMap holds 1 MiB; base64 is not counted, names and labels are.
PIECE_BYTES = 900 * 1024
MAX_PIECES = 32
MAX_UNPACKED_BYTES = 256 << 20
MAX_FILES = 10_000


def pack(code: Path) -> list[bytes]:
    """A file or folder as pieces of a compressed tar file.

    Raises:
        ConfigError: it has more than 28 MiB when compressed, or can't be read.
    """
    buffer = io.BytesIO()
    files = [code] if not code.is_dir() else sorted(path for path in code.rglob("*") if not path.is_dir())
    try:
        with (
            gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in files:
                content = path.read_bytes()
                entry = tarfile.TarInfo(path.name if path == code else path.relative_to(code).as_posix())
                entry.size, entry.mode = len(content), 0o644
                tar.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise ConfigError(
            f"the code bundle {code} can't be read: {error.strerror}",
            next_step="give the path of the application's file or folder",
        ) from None
    data = buffer.getvalue()
    if len(data) > PIECE_BYTES * MAX_PIECES:
        raise ConfigError(
            f"the code bundle has {len(data) >> 20} MiB compressed, more than {PIECE_BYTES * MAX_PIECES >> 20}",
            next_step="put large dependencies into an image of your own (docs/images.md)",
            who="the author of the workload",
        )
    return [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]


def unpack(pieces: list[bytes], target: Path) -> None:
    """Unpack into the new folder `target`: regular files only, nothing outside of it.

    Raises:
        ConfigError: not such a pack, or larger than `MAX_UNPACKED_BYTES`.
    """
    target.mkdir(mode=0o700)
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces)), mode="r:gz") as tar:
            left, count = MAX_UNPACKED_BYTES, 0
            for entry in tar:
                left, count = left - entry.size, count + 1
                if not entry.isreg() or left < 0 or count > MAX_FILES:
                    raise tarfile.TarError("more than files of a bounded size")
                _write(target, PurePosixPath(entry.name), tar.extractfile(entry))
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError) as error:
        raise ConfigError(
            f"the code bundle that was handed to this pod can't be unpacked ({type(error).__name__})",
            next_step="begin a new generation of the job",
        ) from None


def _write(target: Path, name: PurePosixPath, content: IO[bytes] | None) -> None:
    """One file of the pack; not by `extract`, whose safe filter Debian's Python 3.11 lacks."""
    if content is None or name.is_absolute() or not name.parts or ".." in name.parts:
        raise tarfile.TarError("a name that leads elsewhere")
    path = target / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)


def config_maps(
    plan: PodPlan, namespace: str, files: dict[str, bytes], pieces: list[bytes]
) -> list[dict[str, Any]]:
    """The immutable ConfigMaps of one try: small files in the first, a piece of code in each further one."""
    contents = [files, *({CODE_PIECE.format(number): piece} for number, piece in enumerate(pieces))]
    names = [config_name(plan.generation), *(code_name(plan.generation, n) for n in range(len(pieces)))]
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": plan.labels},
            "immutable": True,
            "binaryData": {key: base64.b64encode(data).decode() for key, data in content.items()},
        }
        for name, content in zip(names, contents, strict=True)
    ]

"""Writes the build context of an image: `python deploy/images/context.py spark|spark-s3|airflow|sim DIR`.

The package goes in as it is installed here, not as a wheel: a wheel carries the DAG folders too, and its runner
digest would be another one. Same tree, same bytes, modes and times. Prints the image's name and runner digest.
"""

import os
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

from jars import fetch_jars

import ppml_ops
from ppml_ops.attestation.measure import runner_digest, runner_jars
from ppml_ops.cli.shipped_files import shipped_folder
from ppml_ops.errors import ConfigError, PpmlError
from ppml_ops.spark.jvm.build import build_jar

CHECKOUT = Path(__file__).resolve().parents[2]
#: What each image takes from the checkout as it is.
FILES = {
    "spark": ("requirements-bootstrap.txt", "requirements-spark.txt"),
    "spark-s3": ("requirements-bootstrap.txt", "requirements-spark.txt"),
    "airflow": ("requirements-bootstrap.txt", "requirements.txt"),
    "sim": ("requirements-bootstrap.txt", "requirements-sim.txt"),
}
_BYTECODE = "__pycache__"
_COMMAND = """\
#!/opt/ppml/bin/python3
import sys
from ppml_ops.cli import main
sys.exit(main())
"""
_DEFAULT_EPOCH = 315532800  # 1980-01-01: zip, which some builders use, knows nothing earlier


def make_context(kind: str, folder: Path) -> str:
    """Fill `folder`, which is empty or does not exist; returns the digest of the runner in it.

    Raises:
        ConfigError: no such image, or the installation here can't be copied, or see `fetch_jars`.
        TransientError: see `fetch_jars`.
    """
    if kind not in FILES:
        raise ConfigError(f"there is no image {kind!r}", next_step=f"use one of {', '.join(FILES)}")
    build_jar()
    prefix = folder / "prefix"
    package = prefix / "package/ppml_ops"
    copy_tree(Path(ppml_ops.__file__).resolve().parent, package)
    for jar in runner_jars(Path(sys.prefix)):
        copy_file(jar, prefix / "share/ppml-ops" / jar.name)
    metadata = package.with_name(f"ppml_ops-{ppml_version()}.dist-info")
    write_metadata(metadata)
    if kind == "sim":
        copy_tree(CHECKOUT / "sim/ppml_sim", package.with_name("ppml_sim"))
    if kind == "airflow":
        add_airflow(prefix, metadata)
    digest = runner_digest(package, prefix)
    if digest != runner_digest():
        raise ConfigError(
            "the copy's runner digest is not the installation's", next_step="build while nobody edits the code"
        )
    for name in FILES[kind]:
        source = CHECKOUT / name
        (copy_tree if source.is_dir() else copy_file)(source, folder / name)
    copy_file(CHECKOUT / "deploy/images" / kind.removesuffix("-s3") / "Dockerfile", folder / "Dockerfile")
    if kind == "spark-s3":
        fetch_jars(CHECKOUT / "deploy/images/s3", prefix / "share/hadoop-s3")
    if kind != "sim":
        copy_file(CHECKOUT / "deploy/images/java_trust.py", folder / "java_trust.py")
    copy_file(CHECKOUT / "LICENSE", prefix / "share/ppml-ops/LICENSE")
    _normalise(folder)
    return digest


def ppml_version() -> str:
    """Version of the installed product."""
    return distribution("ppml-ops").version


def copy_tree(source: Path, target: Path) -> None:
    """Copy the regular files of a folder, without bytecode.

    Raises:
        ConfigError: a link or special file lies there.
    """
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name != _BYTECODE)
        here = Path(folder)
        for name in [*folders, *names]:
            if (here / name).is_symlink():
                raise ConfigError(f"{here / name} is a link", next_step="put the file itself there")
        for name in sorted(names):
            copy_file(here / name, target / here.relative_to(source) / name)


def copy_file(source: Path, target: Path) -> None:
    """Copy one regular file.

    Raises:
        ConfigError: it is something else, or not there.
    """
    if not source.is_file():
        raise ConfigError(f"{source} is not a regular file", next_step="restore it from the repository")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if os.access(source, os.X_OK):
        target.chmod(0o755)


def write_metadata(folder: Path) -> None:
    """What `importlib.metadata` reads, without the paths of this machine that an editable installation has."""
    folder.mkdir(parents=True)
    text = f"Metadata-Version: 2.4\nName: ppml-ops\nVersion: {ppml_version()}\nLicense-Expression: Apache-2.0\n"
    (folder / "METADATA").write_text(text)


def add_airflow(prefix: Path, metadata: Path) -> None:
    """Entry points, by which Airflow finds the provider and the policy, the command, and the DAG folders."""
    (metadata / "entry_points.txt").write_text(distribution("ppml-ops").read_text("entry_points.txt") or "")
    (prefix / "bin").mkdir()
    command = prefix / "bin/ppml-ops"
    command.write_text(_COMMAND)
    command.chmod(0o755)
    for name in ("dags", "plugins", "pipelines"):
        copy_tree(shipped_folder(name), prefix / "package" / name)


def _normalise(folder: Path) -> None:
    """Modes and times that do not depend on this machine's umask and clock."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", _DEFAULT_EPOCH))
    for path in [*sorted(folder.rglob("*"), reverse=True), folder]:
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (epoch, epoch))


def main(arguments: list[str]) -> int:
    """Run once; returns the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("usage: context.py spark|spark-s3|airflow|sim DIR\n")
        return 2
    kind, folder = arguments
    try:
        digest = make_context(kind, Path(folder))
    except PpmlError as error:
        sys.stderr.write(f"context: {error}\n")
        return error.exit_code
    sys.stdout.write(f"image ppml-ops-{kind}:{ppml_version()}\nrunner {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

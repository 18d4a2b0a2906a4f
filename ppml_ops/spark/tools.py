"""Where Spark, Java, the interpreter and our jar lie on this host."""

import hashlib
import importlib.metadata
import os
import stat
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from ppml_ops.errors import ConfigError
from ppml_ops.spark.jvm.build import find_java, jar_path
from ppml_ops.spark.render import Tools


def spark_home() -> Path:
    """The folder of the installed pyspark, which is a whole Spark.

    Raises:
        ConfigError: pyspark is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("pyspark is not installed", next_step="install ppml-ops with its dependencies")
    return Path(spec.submodule_search_locations[0])


def installed_tools() -> Tools:
    """The tools of this interpreter's environment.

    Raises:
        ConfigError: Spark or Java is missing, or the jar was not built.
    """
    jar = jar_path()
    if not jar.is_file():
        raise ConfigError(
            "the jar of the Spark plugin has not been built",
            next_step="run `python -m ppml_ops.spark.jvm.build`",
        )
    java_home = find_java().resolve().parent.parent
    return Tools(python=sys.executable, spark_home=str(spark_home()), java_home=str(java_home), jar=str(jar))


def socket_folder(folder: Path) -> Path:
    """The folder for Unix sockets of the generation at `folder`: short, because socket paths have 107 bytes."""
    return Path(tempfile.gettempdir()) / f"ppml-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def shared_socket_folder(generation: str) -> Path:
    """The same for a job of several hosts: its name follows from the generation, so all of them know it."""
    return Path(f"/tmp/ppml-{hashlib.sha256(generation.encode()).hexdigest()[:16]}")  # noqa: S108  # private


def make_socket_folder(path: Path) -> Path:
    """Make a folder of sockets for this user alone.

    Raises:
        ConfigError: something of another user, or no folder, lies there.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(f"{path} is not a private folder of this user", next_step="remove it, then try again")
    return path


def spark_version() -> str:
    """Of the installed pyspark. Raises ConfigError when there is none."""
    try:
        return importlib.metadata.version("pyspark")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(
            "pyspark is not installed", next_step="install ppml-ops with its dependencies"
        ) from None

"""Compile the Java sources of this package against PySpark's jars, once per source and Spark version.

`python -m ppml_ops.spark.jvm.build` builds when needed and prints the path of the jar. No binary lies in the
repository and nothing is downloaded; a TEE image runs this at image build, never at run time.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

from ppml_ops.errors import ConfigError

SOURCES = Path(__file__).parent / "java"
#: What Spark 4 runs on.
JAVA_VERSIONS = (17, 21)
_RELEASE = "17"
_OPTIONS = ("--release", _RELEASE, "-proc:none", "-nowarn", "-encoding", "UTF-8", "-g:lines,source")
#: zip stores no earlier date; a fixed one makes the jar a function of sources and compiler.
_DATE = (1980, 1, 1, 0, 0, 0)
_COMPILE_SECONDS = 120


def find_java() -> Path:
    """The `java` that Spark would start: `$JAVA_HOME/bin/java`, else the first on PATH.

    Raises:
        ConfigError: none there, or one that Spark 4 does not run on.
    """
    home = os.environ.get("JAVA_HOME")
    found = Path(home) / "bin" / "java" if home else shutil.which("java")
    if found is None or not Path(found).is_file():
        looked = f"$JAVA_HOME ({home})" if home else "JAVA_HOME (not set) and PATH"
        raise ConfigError(
            f"no Java: looked at {looked}",
            next_step="install openjdk-17-jre-headless (or Java 21), or set JAVA_HOME to one",
        )
    version = _java_version(Path(found))
    if version not in JAVA_VERSIONS:
        raise ConfigError(
            f"{found} is Java {version or 'of an unknown version'}, Spark needs Java 17 or 21",
            next_step="install openjdk-17-jre-headless and set JAVA_HOME to it",
        )
    return Path(found)


def spark_jars() -> Path:
    """Folder of the jars that PySpark ships, found without importing it.

    Raises:
        ConfigError: PySpark is not installed, or without its jars.
    """
    spec = importlib.util.find_spec("pyspark")
    for folder in spec.submodule_search_locations or () if spec else ():
        jars = Path(folder) / "jars"
        if jars.is_dir():
            return jars
    raise ConfigError(
        "PySpark with its jars is not installed", next_step=f"run {sys.executable} -m pip install pyspark"
    )


def jar_path() -> Path:
    """The jar for these sources and this Spark; starts nothing.

    Raises:
        ConfigError: it has not been built yet.
    """
    places = _places()
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        f"{places[0].name} has not been built for this environment",
        next_step=f"run {sys.executable} -m ppml_ops.spark.jvm.build (needs Java 17 or 21)",
    )


def build_jar() -> Path:
    """The jar, compiled if it is not there yet; safe to call from many processes at once.

    Raises:
        ConfigError: no usable Java, no compiler, no writable place, or the sources don't compile.
    """
    for place in _places():
        if place.is_file():
            return place
    with tempfile.TemporaryDirectory(prefix="ppml-ops-jar-") as folder:
        classes = Path(folder)
        _compile(compiler(find_java()), classes)
        return _store(classes)


def _java_version(java: Path) -> int | None:
    """Major version; None when `java -version` doesn't say."""
    try:
        result = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(\d+)', result.stderr)
    return int(match[1]) if match else None


def _sources() -> list[Path]:
    return sorted(SOURCES.rglob("*.java"))


def _places() -> list[Path]:
    digest = hashlib.sha256("\0".join(_OPTIONS).encode())
    for source in _sources():
        content = source.read_bytes()
        digest.update(f"\0{source.relative_to(SOURCES).as_posix()}\0{len(content)}\0".encode() + content)
    spark = importlib.metadata.version("pyspark")
    name = f"ppml-ops-spark-{digest.hexdigest()[:12]}-{spark}.jar"
    return [Path(sys.prefix) / "share" / "ppml-ops" / name, Path.home() / ".cache" / "ppml-ops" / name]


def compiler(java: Path) -> list[str]:
    """javac beside `java`; else the compiler inside the Java runtime, which Debian's headless JRE has."""
    beside = java.resolve().parent / "javac"
    if beside.is_file():
        return [str(beside)]
    return [str(java), "-m", "jdk.compiler/com.sun.tools.javac.Main"]


def _compile(command: list[str], classes: Path) -> None:
    classpath = os.pathsep.join(str(jar) for jar in sorted(spark_jars().glob("*.jar")))
    arguments = [*_OPTIONS, "-classpath", classpath, "-d", str(classes), *map(str, _sources())]
    try:
        result = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"{command[0]} could not be run: {error}", next_step="check the Java installation"
        ) from None
    if result.returncode != 0:
        tail = " | ".join((result.stdout + result.stderr).strip().splitlines()[-5:])
        raise ConfigError(
            f"the Java sources don't compile with {' '.join(command)}: {tail}",
            next_step="install openjdk-17-jre-headless from a distribution; cut-down runtimes have no compiler",
        )


def _store(classes: Path) -> Path:
    """Write the jar to the first place that takes it; it appears whole."""
    problems = []
    for place in _places():
        temporary = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            _write_jar(temporary, classes)
            temporary.replace(place)
        except OSError as error:
            problems.append(f"{place.parent}: {error.strerror}")
            with suppress(OSError):
                temporary.unlink()
        else:
            return place
    raise ConfigError(
        f"the jar can't be stored ({'; '.join(problems)})", next_step="make one of these folders writable"
    )


def _write_jar(path: Path, classes: Path) -> None:
    files = {file.relative_to(classes).as_posix(): file.read_bytes() for file in classes.rglob("*.class")}
    entries = [("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\r\n\r\n"), *sorted(files.items())]
    with zipfile.ZipFile(path, "w") as jar:
        for name, content in entries:
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            jar.writestr(entry, content)


if __name__ == "__main__":
    sys.stdout.write(f"{build_jar()}\n")

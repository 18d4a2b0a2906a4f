"""Fetches the jars of a pom.xml by Maven, and accepts none but those whose digests are written beside it."""

import hashlib
import subprocess
from pathlib import Path

from ppml_ops.errors import ConfigError, TransientError

LOCK = "jars.sha256"
#: Spark has these itself.
_LEFT_OUT = (
    "commons-codec",
    "commons-logging",
    "io.netty",
    "org.apache.httpcomponents",
    "org.slf4j",
    "org.wildfly.openssl",
)
_SECONDS = 600


def fetch_jars(project: Path, folder: Path) -> None:
    """Put the jars that `project`/pom.xml needs at run time into the new folder `folder`.

    Raises:
        ConfigError: there is no Maven, or what it brings differs from the lock file.
        TransientError: the jars can't be fetched now.
    """
    folder.mkdir(parents=True)
    command = [
        "mvn", "--batch-mode", "--quiet", "--file", str(project / "pom.xml"), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-DexcludeGroupIds={','.join(_LEFT_OUT)}", f"-DoutputDirectory={folder}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except FileNotFoundError:
        raise ConfigError("there is no Maven here", next_step="install it (apt-get install maven)") from None
    except subprocess.TimeoutExpired:
        raise TransientError("Maven did not end in time", next_step="try again") from None
    if done.returncode != 0:
        raise TransientError(
            f"Maven can't fetch the jars: {done.stdout[-500:].strip()}",
            next_step="check the way to a repository",
        )
    got = {f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}" for jar in folder.glob("*.jar")}
    if got != set((project / LOCK).read_text().splitlines()):
        raise ConfigError(
            f"the jars that Maven brought are not those of {LOCK}",
            next_step="find out which repository gave others; after a change of pom.xml write the digests anew",
        )

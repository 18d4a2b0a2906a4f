"""Jars of an image come by Maven and count only with the digests that were written down."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from jars import fetch_jars
from ppml_ops.errors import PpmlError
try:
    fetch_jars(Path(sys.argv[2]), Path(sys.argv[3]))
except PpmlError as error:
    sys.exit(error.what)
"""
SHA_OF_A = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def fetch(tmp_path: Path, project: Path, maven: str) -> subprocess.CompletedProcess[str]:
    """With a stand-in for Maven: a shell script that gets Maven's arguments."""
    tools = tmp_path / "bin"
    tools.mkdir()
    if maven:
        (tools / "mvn").write_text(
            f"#!/bin/sh\nfor last; do :; done\nout=${{last#-DoutputDirectory=}}\n{maven}\n"
        )
        (tools / "mvn").chmod(0o755)
    images = project / "deploy/images"
    work = tmp_path / "project"
    work.mkdir()
    (work / "jars.sha256").write_text(f"{SHA_OF_A}  a.jar\n")
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(images), str(work), str(tmp_path / "out")],
        env=os.environ | {"PATH": f"{tools}:/usr/bin:/bin" if maven else str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_jars_of_the_lock_are_taken(tmp_path: Path, project: Path) -> None:
    done = fetch(tmp_path, project, 'printf a > "$out/a.jar"')
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out/a.jar").read_text() == "a"


@pytest.mark.parametrize(
    ("maven", "why"),
    [
        ('printf b > "$out/a.jar"', "are not those of jars.sha256"),
        ('printf a > "$out/a.jar"; printf b > "$out/b.jar"', "are not those of jars.sha256"),
        (":", "are not those of jars.sha256"),
        ("echo no repository; exit 1", "can't fetch the jars: no repository"),
        ("", "there is no Maven here"),
    ],
)
def test_others_are_refused(tmp_path: Path, project: Path, maven: str, why: str) -> None:
    done = fetch(tmp_path, project, maven)
    assert done.returncode == 1
    assert why in done.stderr


def test_the_lock_names_no_jar_that_spark_has(project: Path) -> None:
    names = [line.split()[1] for line in (project / "deploy/images/s3/jars.sha256").read_text().splitlines()]
    assert "hadoop-aws-3.5.0.jar" in names
    assert not [name for name in names if name.startswith(("netty-common", "slf4j", "httpclient", "commons-"))]

"""The jar is a function of its sources, and is built wherever a Java runtime with a compiler is."""

import sys
from pathlib import Path

import pytest

from ppml_ops.errors import ConfigError
from ppml_ops.spark.jvm import build


@pytest.mark.java
def test_the_runtimes_own_compiler_builds_the_same_bytes_elsewhere(
    jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without javac (as in a headless JRE), and where the environment's folder takes no files."""
    (tmp_path / "prefix").write_text("a file, so no folder can be made here")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    java = str(build.find_java())
    monkeypatch.setattr(build, "compiler", lambda _: [java, "-m", "jdk.compiler/com.sun.tools.javac.Main"])
    with pytest.raises(ConfigError, match="has not been built"):
        build.jar_path()
    built = build.build_jar()
    assert built == tmp_path / "home/.cache/ppml-ops" / jar.name == build.jar_path()
    assert built.read_bytes() == jar.read_bytes()
    assert [file.name for file in built.parent.iterdir()] == [jar.name]


def test_no_java_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no Java: .*openjdk-17-jre-headless"):
        build.find_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"JAVA_HOME \(not set\) and PATH"):
        build.find_java()


@pytest.mark.parametrize(
    ("answer", "ok"), [("17.0.15", True), ("21.0.1", True), ("11.0.2", False), ("", False)]
)
def test_only_javas_that_spark_runs_on_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, ok: bool
) -> None:
    java = tmp_path / "bin/java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{answer}\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if ok:
        assert build.find_java() == java
    else:
        with pytest.raises(ConfigError, match="Spark needs Java 17 or 21"):
            build.find_java()

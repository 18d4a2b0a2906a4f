"""Agent process, key ring, canonical JSON and publication, called in a bare JVM: fast, so many cases."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.manifest import Part, build_manifest
from ppml_ops.spark.jvm.build import compiler, find_java, spark_jars
from tests.integration.spark_jvm.world import World, head

pytestmark = pytest.mark.java

LIBRARIES = ("jackson-*", "tink-*", "hadoop-client-*", "slf4j-api-*", "commons-logging-*", "protobuf-java-*")


class Jvm:
    """Runs the probe."""

    def __init__(self, classpath: str) -> None:
        self.classpath = classpath

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(find_java()), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", self.classpath]
        return subprocess.run(
            [*command, "io.github.ppmlops.spark.Probe", *arguments],
            input=stdin,
            env={"PATH": os.environ["PATH"], "SECRET_OF_THE_HOST": "x", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def fill(self, world: World, **changes: str) -> subprocess.CompletedProcess[str]:
        return self.run("fill", **(world.environment() | changes))


@pytest.fixture(scope="module")
def jvm(jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Jvm:
    """The probe, compiled against the jar."""
    libraries = [str(file) for pattern in LIBRARIES for file in spark_jars().glob(f"{pattern}.jar")]
    classes = tmp_path_factory.mktemp("probe")
    classpath = os.pathsep.join([str(jar), *libraries])
    source = Path(__file__).parent / "probe/io/github/ppmlops/spark/Probe.java"
    subprocess.run([*compiler(find_java()), "-cp", classpath, "-d", str(classes), str(source)], check=True)
    return Jvm(f"{classes}{os.pathsep}{classpath}")


@pytest.fixture
def small(tmp_path: Path) -> World:
    """A world with one data set to read and one to write."""
    world = World(tmp_path)
    world.bind_write("out")
    world.bind_read("people", "ab" * 32)
    world.write_ring()
    return world


@pytest.mark.parametrize(
    ("bytecode", "prefix"),
    [({}, "/dev/null/pycache"), ({"PYTHONPYCACHEPREFIX": "/g1/work/pycache"}, "/g1/work/pycache")],
)
def test_the_agent_runs_isolated(jvm: Jvm, small: World, bytecode: dict[str, str], prefix: str) -> None:
    """Fixed command, an environment of three variables, an empty stdin; its stderr goes to our log."""
    small.write_agent(
        'echo "$@" > "$(dirname "$6")/calls"; env > "$(dirname "$6")/seen"; echo hello >&2; cat; cat "$6"'
    )
    result = jvm.fill(small, PYTHONPATH="/x", **bytecode)
    assert (result.returncode, result.stdout) == (0, "true\n"), result.stderr
    calls = (small.root / "calls").read_text()
    assert calls == f"-I -X pycache_prefix={prefix} -m ppml_ops.spark.agent {small.ring}\n"
    seen = dict(line.split("=", 1) for line in (small.root / "seen").read_text().splitlines())
    assert {name for name in seen if name not in ("PWD", "SHLVL", "_", "OLDPWD")} == {
        "PATH",
        "LANG",
        "PPML_OPS_AGENT_CONFIG",
    }
    assert seen["LANG"] == "C.UTF-8"
    assert "ppml-agent: hello\n" in result.stderr


@pytest.mark.parametrize(
    ("code", "expected", "word"),
    [(77, 77, "DENIED"), (76, 76, "INTEGRITY"), (78, 78, "CONFIG"), (75, 75, "TRANSIENT"), (1, 78, "CONFIG")],
)
def test_the_agents_exit_code_decides_the_class(
    jvm: Jvm, small: World, code: int, expected: int, word: str
) -> None:
    small.write_agent(f'printf "why\\tnot\\nmore\\n" >&2; cat "$6"; exit {code}')
    result = jvm.fill(small)
    assert result.returncode == expected
    assert f"PPML-{word}: why not\n" in result.stderr
    assert "ppml-agent: more\n" in result.stderr


def test_an_agent_that_cannot_run_is_a_configuration_error(jvm: Jvm, small: World) -> None:
    cases = {
        "can't be started": {"PPML_OPS_AGENT_PYTHON": "/no/such/python"},
        "must be an absolute path": {"PPML_OPS_AGENT_PYTHON": "python3"},
        "PPML_OPS_AGENT_CONFIG is not set": {"PPML_OPS_AGENT_CONFIG": ""},
    }
    for message, environment in cases.items():
        result = jvm.fill(small, **environment)
        assert result.returncode == 78
        assert result.stderr.startswith("PPML-CONFIG: ")
        assert message in result.stderr


def test_an_endless_key_ring_is_refused(jvm: Jvm, small: World) -> None:
    small.write_agent("exec yes")
    result = jvm.fill(small)
    assert result.returncode == 78
    assert "more than 1048576 bytes" in result.stderr


def ring_changes() -> dict[str, Any]:
    """Ways to spoil a key ring: text of the error → change."""

    def entry(index: int, **changes: Any) -> Any:
        return lambda ring: ring["datasets"][index].update(changes)

    base = {"node": "node-a", "uri": "file:///x"}
    return {
        "'ppml' is not": lambda ring: ring.update(ppml="keyring/2"),
        "1 unknown fields": lambda ring: ring.update(more=1),
        "'trust_domain' is not 64": lambda ring: ring.update(trust_domain="x"),
        "'trust_domain' is not the": lambda ring: ring.update(trust_domain="00" * 32),
        "'datasets' is no list": lambda ring: ring.update(datasets=3),
        "stands twice": lambda ring: ring["datasets"].append(ring["datasets"][0]),
        "is no data set id": entry(0, dataset="a_b"),
        "'mode' is neither": entry(0, mode="all"),
        "'key' is not 32": entry(0, key="AAAA"),
        "names no node folder": entry(0, bases=[]),
        "'node' is no node name": entry(0, bases=[base, base]),
        "'uri' is no absolute": entry(1, bases=[base | {"uri": "relative"}]),
        "must be a file: or s3a: folder": entry(0, bases=[base | {"uri": "hdfs://host/x"}]),
        "'version' is no positive": entry(0, version=0),
        "'dataset' is not the": entry(0, dataset="other"),
        "'digest' is not 64": entry(1, manifest={"version": 1, "digest": "x"}),
        "'manifest' lacks": entry(0, manifest={}),
    }


@pytest.mark.parametrize("message", ring_changes())
def test_a_spoilt_key_ring_is_refused_without_showing_it(jvm: Jvm, small: World, message: str) -> None:
    ring = json.loads(small.ring.read_bytes())
    ring_changes()[message](ring)
    small.ring.write_bytes(canonical_json(ring))
    result = jvm.fill(small)
    assert result.returncode == 78
    assert message in result.stderr
    assert not any(entry["key"][:8] in result.stderr for entry in small.entries)


def test_what_is_not_json_is_refused_without_showing_it(jvm: Jvm, small: World) -> None:
    good = small.ring.read_bytes()
    for bad in (b"", good[:-1], good + b"{}", good.replace(b'"key":"', b'"key":'), b"\xff", b'{"a":1,"a":2}'):
        small.ring.write_bytes(bad)
        result = jvm.fill(small)
        assert result.returncode == 78
        assert "PPML-CONFIG: the agent's key ring: no" in result.stderr
        assert not any(entry["key"][:8] in result.stderr for entry in small.entries)


def test_canonical_json_agrees_with_python(jvm: Jvm) -> None:
    documents = [
        {"b": [1, 2, {}], "a": None, "é": True, "\U0001f600": "\ue000"},
        {"text": "".join(map(chr, range(0x80))) + "é\u2028\ud7ff\U0001f600"},
        {"\ufb33": 1, "\U0001f600": 2, "n": -(2**53) + 1, "m": 2**53 - 1, "": [[], ""]},
    ]
    refused = [b'{"n":1.5}', b'{"n":9007199254740993}', b"[1", b'"\\ud800"']
    lines = [json.dumps(document).encode().hex() for document in documents] + [bad.hex() for bad in refused]
    answers = jvm.run("canonical", stdin="\n".join(lines)).stdout.split()
    assert answers == [canonical_json(document).hex() for document in documents] + ["refused"] * len(refused)


def test_manifests_of_python_are_read_and_spoilt_ones_refused(jvm: Jvm) -> None:
    key = bytes(32)
    part = Part(path="t/a b-1.csv", length=99, header="28" * 40, node="node-b")
    good = build_manifest(head("people"), 1, [part], key).encode()

    def signed(**changes: Any) -> bytes:
        from ppml_ops.datasets.manifest import _mac

        document = json.loads(good) | changes
        document.pop("mac")
        return canonical_json(document | {"mac": _mac(document, key)})

    def parts(*paths: str) -> list[dict[str, Any]]:
        return [{"path": path, "length": 99, "header": "28" * 40} for path in paths]

    cases = {
        good: "ok",
        signed(parts=parts("a", "b/c", "b/d")): "ok",
        signed(ppml="manifest/2"): "no manifest of a version that this program knows",
        signed(more=1): "1 unknown fields",
        signed(format="bigdl"): "'format' is not",
        signed(dataset="other"): "'dataset' is not",
        signed(trust_domain="00" * 32): "'trust_domain' is not",
        signed(wraps=[]): "'wraps' has 0 entries",
        signed(parts=parts("b", "a")): "sorted and unique",
        signed(parts=parts("a", "a")): "sorted and unique",
        signed(parts=parts("a", "a/b")): "both a file and a folder",
        **{
            signed(parts=parts(path)): "plain" for path in ("../x", "/x", "a//b", "a/.", "é", "a'b", "a\\b", "")
        },
        signed(parts=[parts("a")[0] | {"length": 55}]): "possible length",
        signed(parts=[parts("a")[0] | {"header": "28"}]): "80 hex digits",
        signed(parts=[parts("a")[0] | {"more": 1}]): "1 unknown fields",
        good.replace(b'"length":99', b'"length":98'): "not authentic",
        good[:-1] + b" }": "not in canonical form",
        good + b"\n": "not in canonical form",
        b"[]": "no manifest",
    }
    answers = jvm.run("decode", stdin="\n".join(case.hex() for case in cases)).stdout.split("\n")
    for (case, expected), answer in zip(cases.items(), answers, strict=False):
        assert expected in answer, (case, answer)


def test_publication_has_one_winner(jvm: Jvm, tmp_path: Path) -> None:
    result = jvm.run("race", str(tmp_path), "4", "200")
    assert result.stdout == "0\n", result.stderr
    manifests = sorted((tmp_path / "_manifest").iterdir())
    assert len(manifests) == 200
    assert all(file.read_text().startswith("writer ") for file in manifests)

"""Spark applications that differ in protection only: the product's settings, parts of them taken out."""

import subprocess
import time
from collections.abc import Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import NamedTuple, Self

from ppml_ops.errors import WorkloadError
from ppml_ops.files import private_dir, write_private
from ppml_ops.spark.job import CodeBundle, JobDataset, SparkJob
from ppml_ops.spark.placement import Base, Binding, Placement
from ppml_ops.spark.profiles import load_profile
from ppml_ops.spark.render import LOG4J, Submission, render_local
from ppml_ops.spark.tools import installed_tools
from tests.benchmarks.measure import tree_cpu

CHILD = Path(__file__).with_name("spark_child.py")
_START_SECONDS = 120.0

#: Settings that make data sets sealed.
SEALING = (
    "spark.plugins",
    "spark.sql.sources.commitProtocolClass",
    "spark.hadoop.fs.sealed.impl",
    "spark.driver.extraClassPath",
    "spark.executor.extraClassPath",
)
#: Settings that encrypt what Spark sends and spills, by prefix.
SHIELDING = ("spark.authenticate", "spark.network.crypto.", "spark.io.encryption.")


class Timing(NamedTuple):
    """One query: wall seconds of its steps, CPU seconds of JVM and Python processes together."""

    steps: tuple[float, float, float]
    cpu: float

    @property
    def wall(self) -> float:
        """Wall seconds of all steps."""
        return sum(self.steps)


def product_submission(folder: Path, sockets: Path) -> Submission:
    """What the product would submit for SimpleQuery, as rendered for the folder of a generation."""
    job = SparkJob(
        name="simple-query",
        code=CodeBundle(main=CHILD.name, digest="0" * 64),
        datasets=(JobDataset(dataset="bench", mode="write"),),
    )
    placement = Placement(
        generation="bench-g1",
        folder=str(folder),
        code=str(CHILD),
        ticket=str(folder / "none"),
        broker_url="https://127.0.0.1:1",
        broker_ca=str(folder / "none"),
        bindings=(Binding(dataset="bench", bases=(Base(node="node-a", uri=folder.as_uri()),)),),
    )
    return render_local(job, load_profile("local"), placement, installed_tools(), sockets=str(sockets))


def without(properties: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """Spark properties but for those that begin with one of `prefixes`."""
    return {name: value for name, value in properties.items() if not name.startswith(prefixes)}


class SparkVariant:
    """One Spark application that waits for queries; use it as a context manager.

    Args:
        folder: for its files; made.
        sockets: a folder with a short path for Unix sockets; made.
        taken_out: prefixes of settings that this variant lacks.
        agent: environment variables by which the JVM finds its key agent.
    """

    def __init__(
        self, folder: Path, sockets: Path, taken_out: tuple[str, ...], agent: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._sockets = sockets
        self._taken_out = taken_out
        self._agent = agent

    def __enter__(self) -> Self:
        submission = product_submission(private_dir(self._folder), private_dir(self._sockets))
        work = self._folder / "work"
        for name in ("", "conf", "home", "local", "tmp", "warehouse"):
            private_dir(work / name)
        properties = without(submission.properties, *self._taken_out)
        defaults = Submission(submission.argv, properties, {}).defaults()
        write_private(work / "conf" / "spark-defaults.conf", defaults.encode("ascii"))
        write_private(work / "conf" / "log4j2.properties", LOG4J.encode("ascii"))
        socket = self._sockets / "ask"
        # The first three arguments are spark-submit and its properties file.
        argv = [*submission.argv[:3], str(CHILD), str(socket)]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self._folder,
                env=submission.environment | dict(self._agent) | {"PYTHONSAFEPATH": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._peer = self._connect(socket)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self._peer.send(None)
            self._peer.close()
            self._process.wait(60)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def query(self, source: str, target: str, form: str, partitions: int = 2) -> Timing:
        """Run SimpleQuery once. Raises WorkloadError when it fails."""
        before = tree_cpu(self._process.pid)
        try:
            self._peer.send({"source": source, "target": target, "form": form, "partitions": partitions})
            steps = self._peer.recv()
        except (EOFError, OSError):
            raise self._failed() from None
        load, show, write = steps
        return Timing((load, show, write), tree_cpu(self._process.pid) - before)

    def _connect(self, socket: Path) -> "Connection[object, list[float]]":
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                return Client(str(socket), family="AF_UNIX")
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.1)
        raise self._failed()

    def _failed(self) -> WorkloadError:
        log = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
        return WorkloadError(f"the Spark application ended: {log[-1500:]}", next_step="read the reason above")

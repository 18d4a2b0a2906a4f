"""From job, profile and placement to what spark-submit gets: argv, spark-defaults, environment. Pure.

Nothing here is secret: keys come through the agent's pipe only. Spark's conf, argv and environment can be read
by everything that runs as the same user, so they name paths, sizes and classes and no more.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from ppml_ops.spark.job import SparkJob
from ppml_ops.spark.placement import Placement
from ppml_ops.spark.profiles import Profile

PACKAGE = "io.github.ppmlops.spark"

LOG4J = """\
rootLogger.level = info
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
"""


@dataclass(frozen=True)
class Tools:
    """Absolute paths of what is installed where the job runs."""

    python: str
    spark_home: str
    java_home: str
    jar: str


@dataclass(frozen=True)
class Submission:
    """What starts one Spark application: spark-submit's argv, its properties and its whole environment."""

    argv: list[str]
    properties: dict[str, str]
    environment: dict[str, str]

    def defaults(self) -> str:
        """The properties as the text of a `spark-defaults.conf`."""
        return "".join(f"{name}={_escaped(value)}\n" for name, value in sorted(self.properties.items()))


def _escaped(value: str) -> str:
    """A value in Java's properties format: backslashes doubled, a leading blank kept, ASCII only."""
    text = value.replace("\\", "\\\\")
    if text.startswith(" "):
        text = "\\" + text
    units = text.encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)


def _master(job: SparkJob, profile: Profile) -> str:
    most = profile.resources.cores
    return f"local[{min(job.resources.cores, most)}]"


def render_local(
    job: SparkJob, profile: Profile, placement: Placement, tools: Tools, *, sockets: str
) -> Submission:
    """The submission of a local Spark application.

    Args:
        job: what to run; its conf has passed the allow-list.
        profile: a profile with the local launcher.
        placement: gives the code bundle and the generation's folder; all temporary files stay in its `work`.
        tools: where Spark, Java, the interpreter and our jar lie.
        sockets: private folder for Unix sockets; short, because their paths have at most 107 bytes.
    """
    folder = PurePosixPath(placement.folder)
    work = folder / "work"
    properties = {
        **job.conf,
        **fixed(tools, work, sockets),
        "spark.app.name": job.name,
        "spark.master": _master(job, profile),
        "spark.driver.memory": job.resources.driver_memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": f"{work}/local",
    }
    environment = base_environment(tools, folder) | {
        "SPARK_LOCAL_DIRS": str(work / "local"),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return Submission(submit_argv(job, placement, tools), properties, environment)


def submit_argv(job: SparkJob, placement: Placement, tools: Tools) -> list[str]:
    """What starts the driver, wherever it runs."""
    folder = PurePosixPath(placement.folder)
    return [
        f"{tools.spark_home}/bin/spark-submit",
        "--properties-file",
        str(folder / "work" / "conf" / "spark-defaults.conf"),
        *_program(job, placement, folder),
        *job.arguments,
    ]


def code_copy(folder: PurePosixPath) -> PurePosixPath:
    """Folder of the verified copy of the code: what runs."""
    return folder / "work" / "code"


def _program(job: SparkJob, placement: Placement, folder: PurePosixPath) -> list[str]:
    """What spark-submit runs: our own program, which starts the session and then the user's."""
    record = str(folder / "application.json")
    if job.code.main_class:
        jar = str(code_copy(folder) / job.code.main)
        return ["--class", f"{PACKAGE}.JarMain", jar, record, job.code.main_class]
    runner = str(PurePosixPath(__file__).with_name("runner.py"))
    return [runner, record, job.code.digest, placement.code, job.code.main]


def jvm_options(temporary: PurePosixPath) -> list[str]:
    """For every JVM of a job: nothing written outside its folder, nobody looks in."""
    return [
        f"-Djava.io.tmpdir={temporary}",
        f"-XX:ErrorFile={temporary / 'hs_err.log'}",
        "-XX:-UsePerfData",
        "-XX:+DisableAttachMechanism",
        "-XX:-CreateCoredumpOnCrash",
    ]


#: Who speaks with whom: only who holds the secret, and nobody else can listen.
PROTECTED_TRAFFIC = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.cipher": "AES/GCM/NoPadding",
    "spark.network.crypto.authEngineVersion": "2",
    "spark.network.crypto.saslFallback": "false",
}


def fixed(tools: Tools, work: PurePosixPath, sockets: str) -> dict[str, str]:
    """Settings that hold for every job: sealing on, traffic and spill encrypted, nothing shown or kept."""
    return {
        **PROTECTED_TRAFFIC,
        "spark.plugins": f"{PACKAGE}.PpmlPlugin",
        "spark.sql.sources.commitProtocolClass": f"{PACKAGE}.SealedCommitProtocol",
        "spark.hadoop.fs.sealed.impl": f"{PACKAGE}.SealedFileSystem",
        "spark.driver.extraClassPath": tools.jar,
        "spark.executor.extraClassPath": tools.jar,
        "spark.driver.extraJavaOptions": " ".join(f'"{option}"' for option in jvm_options(work / "tmp")),
        "spark.submit.deployMode": "client",
        "spark.io.encryption.enabled": "true",
        "spark.io.encryption.keySizeBits": "256",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "false",
        # Python workers spill to disk in clear, whatever spark.io.encryption says (pyspark/shuffle.py); a limit
        # that no process reaches (1 PiB) keeps them from it. Rows that don't fit end the job, not the secrecy.
        "spark.python.worker.memory": "1024t",
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.python.unix.domain.socket.dir": sockets,
        "spark.pyspark.python": tools.python,
        "spark.pyspark.driver.python": tools.python,
        "spark.sql.warehouse.dir": f"file://{quote(str(work / 'warehouse'))}",
        "spark.sql.catalogImplementation": "in-memory",
    }


def bytecode_folder(folder: PurePosixPath) -> PurePosixPath:
    """Where the Python processes of the generation at `folder` keep bytecode.

    Begun empty, it is the only place that they take bytecode from: a `.pyc` that lies beside the measured
    sources would run in their place, and nobody has measured it.
    """
    return folder / "work" / "pycache"


def base_environment(tools: Tools, folder: PurePosixPath) -> dict[str, str]:
    """The environment of every JVM of a job; nothing is inherited."""
    work = folder / "work"
    return {
        "PATH": f"{tools.java_home}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(work / "home"),
        "LANG": "C.UTF-8",
        "TMPDIR": str(work / "tmp"),
        "JAVA_HOME": tools.java_home,
        "SPARK_HOME": tools.spark_home,
        "SPARK_CONF_DIR": str(work / "conf"),
        "PYSPARK_PYTHON": tools.python,
        "PYSPARK_DRIVER_PYTHON": tools.python,
        "PYTHONPYCACHEPREFIX": str(bytecode_folder(folder)),
        "PPML_OPS_AGENT_PYTHON": tools.python,
        "PPML_OPS_AGENT_CONFIG": str(folder / "agent.json"),
    }

"""Which Spark settings a job may make: an allow-list of exact names and prefixes.

Everything else is set by the profile or refused with the reason. A setting can load code that nobody
measured, turn encryption off, send plaintext to disk or carry a secret into files and pods that others read.
"""

import re
from collections.abc import Mapping

from ppml_ops.errors import ConfigError

MAX_VALUE = 1024

ALLOWED_NAMES = frozenset(
    {
        "spark.default.parallelism",
        "spark.driver.maxResultSize",
        "spark.executor.heartbeatInterval",
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version",
        "spark.kryoserializer.buffer.max",
        "spark.locality.wait",
        "spark.memory.fraction",
        "spark.memory.storageFraction",
        "spark.network.timeout",
        "spark.python.worker.reuse",
        "spark.rdd.compress",
        "spark.reducer.maxSizeInFlight",
        "spark.rpc.message.maxSize",
        "spark.shuffle.compress",
        "spark.shuffle.file.buffer",
        "spark.shuffle.spill.compress",
        "spark.speculation",
        "spark.sql.ansi.enabled",
        "spark.sql.autoBroadcastJoinThreshold",
        "spark.sql.broadcastTimeout",
        "spark.sql.caseSensitive",
        "spark.sql.columnNameOfCorruptRecord",
        "spark.sql.crossJoin.enabled",
        "spark.sql.debug.maxToStringFields",
        "spark.sql.join.preferSortMergeJoin",
        "spark.sql.legacy.timeParserPolicy",
        "spark.sql.mapKeyDedupPolicy",
        "spark.sql.maxPlanStringLength",
        "spark.sql.orc.filterPushdown",
        "spark.sql.parquet.binaryAsString",
        "spark.sql.parquet.compression.codec",
        "spark.sql.parquet.datetimeRebaseModeInRead",
        "spark.sql.parquet.datetimeRebaseModeInWrite",
        "spark.sql.parquet.enableVectorizedReader",
        "spark.sql.parquet.filterPushdown",
        "spark.sql.parquet.int96RebaseModeInRead",
        "spark.sql.parquet.mergeSchema",
        "spark.sql.parquet.outputTimestampType",
        "spark.sql.parquet.writeLegacyFormat",
        "spark.sql.session.timeZone",
        "spark.sql.shuffle.partitions",
        "spark.sql.sources.bucketing.enabled",
        "spark.sql.sources.partitionColumnTypeInference.enabled",
        "spark.sql.sources.partitionOverwriteMode",
        "spark.sql.storeAssignmentPolicy",
        "spark.task.cpus",
        "spark.task.maxFailures",
    }
)

# `spark.sql.files.ignoreCorruptFiles` is among these: it never hides a broken seal, because our integrity
# exception is of the one class that Spark does not skip (AccessControlException).
ALLOWED_PREFIXES = (
    "spark.sql.adaptive.",
    "spark.sql.cbo.",
    "spark.sql.csv.",
    "spark.sql.execution.arrow.",
    "spark.sql.files.",
    "spark.sql.inMemoryColumnarStorage.",
    "spark.sql.json.",
    "spark.sql.optimizer.",
    "spark.sql.statistics.",
    "spark.speculation.",
)

_CODE = "it loads code that the ticket does not name and nobody measures"
_LEAK = "it would write data or metadata in clear outside the sealed data sets"
_OURS = "PPML Ops sets it so that data stays sealed"
_SHIELD = "it protects traffic or spill files and stays as the profile has it"
_PLACE = "the profile and the job's resources decide it"

_REASONS = tuple(
    (re.compile(pattern, re.IGNORECASE), why)
    for pattern, why in (
        (
            r"secret|passw|token|credential|access\.?key|api\.?key|private\.?key",
            "a secret in Spark's conf can be read by others: give it as a key reference or a connection",
        ),
        (r"^spark\.plugins|commitprotocolclass|outputcommitter|committer\.class|fs\.sealed\.", _OURS),
        (r"^spark\.hadoop\.fs\.|\.impl$", _OURS),
        (
            r"classpath|librarypath|javaoptions|^spark\.(jars|files|archives|submit)|packages|repositories|"
            r"userclasspathfirst|extensions|listener|^spark\.sql\.catalog|metastore|driverenv|executorenv|"
            r"^spark\.pyspark|\.plugin|serializer$|codec$|provider|\.class$",
            _CODE,
        ),
        (
            r"^spark\.(eventlog|history|ui|metrics|log|redaction)|checkpoint|warehouse|\.dir$|spark\.local\.|"
            r"^spark\.python\.worker\.memory$",
            _LEAK,
        ),
        (r"^spark\.(authenticate|ssl|network\.crypto|io\.(encryption|crypto)|acls|admin)", _SHIELD),
        (r"^spark\.python\.(authenticate|unix)", _SHIELD),
        (
            r"^spark\.(master|app|submit|kubernetes|driver|executor|cores|dynamicallocation|remote|api|yarn|shuffle\."
            r"service|port|blockmanager)",
            _PLACE,
        ),
    )
)


def refusal(name: str, value: str) -> str | None:
    """Why a job may not set `name` to `value`; None when it may."""
    if name in ALLOWED_NAMES or name.startswith(ALLOWED_PREFIXES):
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", name):
            return "its name holds characters that no Spark setting has"
        if len(value) > MAX_VALUE or re.search(r"[\x00-\x1f\x7f]", value):
            return f"its value has control characters or more than {MAX_VALUE} characters"
        if name.lower().endswith("class"):
            return _CODE
        if "${" in value:
            return "Spark would replace ${…} in its value by other settings or variables"
        return None
    for pattern, why in _REASONS:
        if pattern.search(name):
            return why
    return "it is not among the settings that jobs may make"


def check_conf(conf: Mapping[str, str]) -> None:
    """Check all Spark settings of a job.

    Raises:
        ConfigError: names the first refused setting and why; never its value.
    """
    for name, value in sorted(conf.items()):
        why = refusal(name, value)
        if why is not None:
            raise ConfigError(
                f"the job may not set the Spark setting {name[:200]!r}: {why}",
                next_step="remove it from the job's conf; what jobs may set is listed in ppml_ops.spark.conf",
                who="the author of the job",
            )

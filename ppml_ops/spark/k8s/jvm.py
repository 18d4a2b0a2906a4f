"""The command line of an executor's JVM. Pure.

Everything that Spark's driver says about it comes through the pod's document and environment, which the
orchestrator can write as well. So only what is on the lists here passes: no agent, no class path, no hook that
runs commands; and what guards the traffic is fixed here, because an executor that spoke with just anyone would
run anyone's tasks over the data.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from ppml_ops.errors import ConfigError, DeniedError
from ppml_ops.spark.k8s.objectstore import JARS
from ppml_ops.spark.k8s.render import RPC_SECRET
from ppml_ops.spark.render import PROTECTED_TRAFFIC, Tools, jvm_options

MAIN_CLASS = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"

#: `spark.master` makes Spark read the secret from its file; its value is looked at for nothing else.
FIXED = PROTECTED_TRAFFIC | {
    "spark.authenticate.secret.file": RPC_SECRET,
    "spark.ssl.enabled": "false",
    "spark.ssl.rpc.enabled": "false",
    "spark.master": "k8s://inside",
}
_OPTION = re.compile(r"SPARK_JAVA_OPT_([0-9]{1,4})")
_PROPERTY = re.compile(r"-D([A-Za-z0-9.]+)=(.*)")
#: Client mode: where the driver has the secret on its host.
_LEFT_OUT = re.compile(r"-Dspark\.authenticate\.secret\.driver\.file=/.*")
_PASSED = (
    # Spark's own defaults: access inside the JDK, and netty.
    re.compile(r"-XX:\+IgnoreUnrecognizedVMOptions"),
    re.compile(r"--add-modules=jdk\.incubator\.vector"),
    re.compile(r"--add-opens=[a-z.]+/[a-z0-9.]+=ALL-UNNAMED"),
    re.compile(r"--enable-native-access=ALL-UNNAMED"),
    re.compile(r"--sun-misc-unsafe-memory-access=allow"),
    re.compile(r"-Djava\.net\.preferIPv6Addresses=(true|false)"),
    re.compile(r"-Dio\.netty\.(tryReflectionSetAccessible=true|allocator\.type=pooled)"),
    re.compile(r"-Dio\.netty\.handler\.ssl\.defaultEndpointVerificationAlgorithm=[A-Z]+"),
    # Settings of the application that count before an executor has asked the driver for all of them.
    re.compile(r"-Dspark\.((driver|blockManager|driver\.blockManager)\.port|port\.maxRetries)=[0-9]{1,5}"),
    re.compile(
        r"-Dspark\.(rpc\.message\.maxSize|network\.timeout|rpc\.(ask|lookup)Timeout)=[0-9]{1,9}(ms|s|m|h)?"
    ),
)
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_GIVEN = {
    "SPARK_EXECUTOR_MEMORY": r"[1-9][0-9]{0,8}[kmg]",
    "SPARK_DRIVER_URL": r"spark://CoarseGrainedScheduler@[A-Za-z0-9.:\[\]-]{1,255}:[0-9]{1,5}",
    "SPARK_EXECUTOR_ID": r"[0-9]{1,9}",
    "SPARK_EXECUTOR_CORES": r"[1-9][0-9]{0,3}",
    "SPARK_APPLICATION_ID": _NAME,
    "SPARK_EXECUTOR_POD_IP": r"[0-9A-Fa-f.:]{2,45}",
    "SPARK_RESOURCE_PROFILE_ID": r"[0-9]{1,9}",
    "SPARK_EXECUTOR_POD_NAME": _NAME,
}


def executor_id(environment: Mapping[str, str]) -> str:
    """The number that the driver has given to this executor.

    Raises:
        ConfigError: there is none.
    """
    return _given(environment, "SPARK_EXECUTOR_ID")


def application_id(environment: Mapping[str, str]) -> str:
    """The application that this executor belongs to.

    Raises:
        ConfigError: there is none.
    """
    return _given(environment, "SPARK_APPLICATION_ID")


def executor_argv(
    environment: Mapping[str, str], tools: Tools, temporary: PurePosixPath, *, store: bool = False
) -> list[str]:
    """What starts the JVM of an executor.

    Args:
        environment: what Spark has written into the pod.
        tools: where Java, Spark and our jar lie; nothing else comes onto the class path.
        temporary: folder for temporary files.
        store: the image's jars for an object store too.

    Raises:
        DeniedError: an option that is not on the list.
        ConfigError: what an executor needs is missing or has another form.
    """
    given = {name: _given(environment, name) for name in _GIVEN}
    memory = given["SPARK_EXECUTOR_MEMORY"]
    return [
        f"{tools.java_home}/bin/java",
        *passed_options(environment),
        *(f"-D{name}={value}" for name, value in sorted(FIXED.items())),
        *jvm_options(temporary),
        f"-Xms{memory}",
        f"-Xmx{memory}",
        "-cp",
        ":".join([tools.jar, *([f"{JARS}/*"] if store else []), f"{tools.spark_home}/jars/*"]),
        MAIN_CLASS,
        "--driver-url", given["SPARK_DRIVER_URL"],
        "--executor-id", given["SPARK_EXECUTOR_ID"],
        "--cores", given["SPARK_EXECUTOR_CORES"],
        "--app-id", given["SPARK_APPLICATION_ID"],
        "--hostname", given["SPARK_EXECUTOR_POD_IP"],
        "--resourceProfileId", given["SPARK_RESOURCE_PROFILE_ID"],
        "--podName", given["SPARK_EXECUTOR_POD_NAME"],
    ]  # fmt: skip


def passed_options(environment: Mapping[str, str]) -> list[str]:
    """Those of the options from the driver that this executor takes over, in order.

    Raises:
        DeniedError: one that is neither on the list nor among those that are fixed anyway.
    """
    numbered = {int(hit[1]): value for name, value in environment.items() if (hit := _OPTION.fullmatch(name))}
    options = []
    for number in sorted(numbered):
        option = numbered[number]
        if any(pattern.fullmatch(option) for pattern in _PASSED):
            options.append(option)
        elif not _is_fixed(option) and not _LEFT_OUT.fullmatch(option):
            name = option.partition("=")[0].partition(":")[0][:80]
            raise DeniedError(
                f"this executor was to start its JVM with an option that may run or open anything: {name!r}",
                next_step="find out who made this pod: drivers of PPML Ops set no such option",
                who="the operator",
            )
    return options


def _is_fixed(option: str) -> bool:
    hit = _PROPERTY.fullmatch(option)
    return hit is not None and FIXED.get(hit[1]) == hit[2]


def _given(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not re.fullmatch(_GIVEN[name], value):
        raise ConfigError(
            f"{name} is missing in the environment of this executor, or has another form than Spark's",
            next_step="find out who made this pod; Spark's driver makes executors",
        )
    return value

from pathlib import PurePosixPath

import pytest

from ppml_ops.errors import ConfigError, DeniedError
from ppml_ops.spark.k8s.jvm import FIXED, executor_argv, passed_options
from ppml_ops.spark.render import Tools
from tests.unit.spark.k8s.pod_builders import executor_environment

TOOLS = Tools(python="/p", spark_home="/spark", java_home="/java", jar="/jar/ppml.jar")
SPARKS_OWN = [
    "-Djava.net.preferIPv6Addresses=false",
    "-XX:+IgnoreUnrecognizedVMOptions",
    "--add-modules=jdk.incubator.vector",
    "--add-opens=java.base/java.util.concurrent.atomic=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Dspark.driver.port=7078",
    "-Dspark.network.timeout=120s",
]


def argv(**changes: str) -> list[str]:
    return executor_argv(executor_environment(**changes), TOOLS, PurePosixPath("/w/tmp"))


def numbered(options: list[str]) -> dict[str, str]:
    return {f"SPARK_JAVA_OPT_{number}": option for number, option in enumerate(options)}


def test_command_line() -> None:
    made = argv()
    assert made[:2] == ["/java/bin/java", "-Dspark.driver.port=40000"]
    assert made[made.index("-cp") + 1] == "/jar/ppml.jar:/spark/jars/*"
    assert made[made.index("-cp") + 2 :] == [
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
        "--driver-url", "spark://CoarseGrainedScheduler@10.88.2.7:40000",
        "--executor-id", "3", "--cores", "1", "--app-id", "spark-0123456789abcdef",
        "--hostname", "10.88.1.9", "--resourceProfileId", "0",
        "--podName", "simple-query-20261120-0123456789ab-g1-exec-3",
    ]  # fmt: skip
    assert {"-Xms512m", "-Xmx512m"} < set(made)


def test_sparks_own_options_pass_in_order_and_ours_come_after_them() -> None:
    made = argv(**numbered(SPARKS_OWN))
    assert made[1 : len(SPARKS_OWN) + 1] == SPARKS_OWN
    assert made[len(SPARKS_OWN) + 1 :][: len(FIXED)] == [f"-D{k}={v}" for k, v in sorted(FIXED.items())]


def test_what_is_fixed_anyway_may_be_said_and_is_not_taken_over() -> None:
    same = [f"-D{name}={value}" for name, value in FIXED.items()]
    host = "-Dspark.authenticate.secret.driver.file=/home/me/rpc"
    assert passed_options(numbered([*same, host])) == []


@pytest.mark.parametrize(
    "option",
    [
        "-javaagent:/ppml/node/evil.jar",
        "-agentpath:/ppml/node/evil.so",
        "-agentlib:jdwp=transport=dt_socket,server=y,address=5005",
        "-XX:OnOutOfMemoryError=sh /ppml/node/evil",
        "-XX:OnError=sh",
        "-XX:+HeapDumpOnOutOfMemoryError",
        "-XX:Flags=/ppml/node/flags",
        "-XX:VMOptionsFile=/ppml/node/options",
        "@/ppml/node/options",
        "-Xbootclasspath/a:/ppml/node/evil.jar",
        "-cp",
        "-classpath=/ppml/node",
        "--module-path=/ppml/node",
        "--patch-module=java.base=/ppml/node",
        "--add-modules=jdk.incubator.vector,evil",
        "-Djava.system.class.loader=Evil",
        "-Dcom.sun.management.jmxremote.port=5005",
        "-Dlog4j2.configurationFile=http://10.0.0.1/evil",
        "-Dspark.authenticate=false",
        "-Dspark.authenticate.secret=known",
        "-Dspark.authenticate.secret.file=/ppml/generation/known",
        "-Dspark.authenticate.secret.executor.file=/ppml/generation/known",
        "-Dspark.network.crypto.enabled=false",
        "-Dspark.network.crypto.saslFallback=true",
        "-Dspark.ssl.rpc.enabled=true",
        "-Dspark.ssl.rpc.trustStore=/ppml/generation/evil",
        "-Dspark.master=local",
        "-Dspark.driver.port=1 -javaagent:x",
        "-Dspark.driver.port=1\n",
        "",
    ],
)
def test_what_could_run_or_open_anything_is_refused_without_its_value(option: str) -> None:
    with pytest.raises(DeniedError, match="option that may run or open anything") as caught:
        argv(SPARK_JAVA_OPT_1=option)
    assert "evil" not in str(caught.value).replace("/ppml/node/evil", "") or "=" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPARK_EXECUTOR_MEMORY", "512m -javaagent:x"),
        ("SPARK_DRIVER_URL", "spark://Other@10.0.0.1:1"),
        ("SPARK_EXECUTOR_ID", "1/../../x"),
        ("SPARK_EXECUTOR_CORES", "0"),
        ("SPARK_APPLICATION_ID", "--driver-url"),
        ("SPARK_EXECUTOR_POD_IP", "evil.example"),
        ("SPARK_RESOURCE_PROFILE_ID", ""),
        ("SPARK_EXECUTOR_POD_NAME", "a b"),
    ],
)
def test_arguments_have_sparks_form_or_are_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        argv(**{name: value})

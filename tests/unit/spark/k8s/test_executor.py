from pathlib import PurePosixPath

import pytest

from ppml_ops.spark.k8s.executor import executor_environment, pod_exit_code
from ppml_ops.spark.render import Tools
from tests.unit.spark.k8s import pod_builders

TOOLS = Tools(python="/opt/ppml/bin/python3", spark_home="/spark", java_home="/opt/java", jar="/jar")


def test_the_jvm_gets_an_environment_of_its_own() -> None:
    given = pod_builders.executor_environment(
        JAVA_TOOL_OPTIONS="-javaagent:x", LD_PRELOAD="/x", PYTHONPATH="/x"
    )
    made = executor_environment(TOOLS, PurePosixPath("/ppml/work/g"), given)
    assert not made.keys() & (given.keys() - {"SPARK_EXECUTOR_ID"})
    assert made["SPARK_EXECUTOR_ID"] == "3"
    assert made["SPARK_LOCAL_DIRS"] == "/ppml/local"
    assert made["PPML_OPS_AGENT_CONFIG"] == "/ppml/work/g/agent.json"
    assert made["PPML_OPS_AGENT_PYTHON"] == "/opt/ppml/bin/python3"


@pytest.mark.parametrize(
    ("jvm", "said", "code"),
    [
        (0, None, 0),
        (1, None, 1),
        (52, None, 52),
        (-9, None, 137),
        (77, None, 70),
        (77, "PPML-DENIED", 77),
        (77, "PPML-TRANSIENT", 70),
        (1, "PPML-DENIED", 1),
    ],
)
def test_exit_codes(jvm: int, said: str | None, code: int) -> None:
    assert pod_exit_code(jvm, said) == code

import subprocess
import sys

import pytest

from ppml_ops.spark import pod
from ppml_ops.spark.k8s import podprocess

WAITS = """
import signal
from ppml_ops.spark.pod import main

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("up", flush=True)
raise SystemExit(main(["node"]))
"""


def test_a_node_pod_waits_until_it_is_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "role"),
    [(["driver", "--proxy-user", "operator"], "driver"), (["executor"], "executor"), ([], "")],
)
def test_the_first_argument_is_the_role(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], role: str
) -> None:
    monkeypatch.setattr(podprocess, "main", lambda given: 70 + (given == role))
    assert pod.main(arguments) == 71


def test_a_node_pod_loads_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys, ppml_ops.spark.pod; print([name for name in sys.modules if name in ('pydantic', 'json')])"
    )
    result = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"

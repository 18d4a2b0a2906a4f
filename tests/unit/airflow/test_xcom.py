"""The XCom guard lets handles through and nothing else, in both directions."""

from types import SimpleNamespace
from typing import Any

import pytest

from ppml_ops.airflow.handles import Handle, NodeHandle, OpenedHandle
from ppml_ops.airflow.xcom import GuardedXCom, register_handle
from ppml_ops.errors import ConfigError

NODE = NodeHandle(node="node-a", generation="run-g1")


def back(value: Any) -> Any:
    return GuardedXCom.deserialize_value(SimpleNamespace(value=value))


@pytest.mark.parametrize("value", [NODE, [NODE, NODE], [], OpenedHandle(rows=None, matches_expected=None)])
def test_handles_survive_the_way(value: Any) -> None:
    assert back(GuardedXCom.serialize_value(value, key="return_value")) == value


@pytest.mark.parametrize(
    "value", ["text", b"bytes", 1, None, {"a": 1}, {NODE}, [NODE, "x"], [[NODE]], object()]
)
def test_everything_else_fails_the_task(value: Any) -> None:
    with pytest.raises(ConfigError, match="refused"):
        GuardedXCom.serialize_value(value, key="return_value", task_id="t")


def test_a_subclass_is_not_its_registered_parent() -> None:
    class Wider(NodeHandle):
        secret: str = "x"

    with pytest.raises(ConfigError, match="Wider"):
        GuardedXCom.serialize_value(Wider(node="a", generation="g"), key="return_value")


@pytest.mark.parametrize(
    "value",
    ["text", {"node": "x"}, {"__ppml__": "Unknown/1", "v": {}}, {"__ppml__": "NodeHandle/1", "v": {"a": 1}},
     {"__ppml__": "NodeHandle/1", "v": {}, "more": 1}, {"__ppml__": "airflow/return_value", "v": "x"}, [1]],
)  # fmt: skip
def test_what_others_wrote_is_not_read(value: Any) -> None:
    with pytest.raises(ConfigError):
        back(value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("skipmixin_key", {"followed": ["a", "b"]}), ("trigger_run_id", "manual__2026-11-21T00:00:00+00:00")],
)
def test_airflows_own_values_pass_under_their_key_only(key: str, value: Any) -> None:
    assert back(GuardedXCom.serialize_value(value, key=key)) == value
    with pytest.raises(ConfigError):
        GuardedXCom.serialize_value(value, key="return_value")


def test_airflows_keys_are_no_way_around() -> None:
    with pytest.raises(ConfigError):
        GuardedXCom.serialize_value("not a name: -----BEGIN KEY-----", key="pod_name")


def test_users_can_register_their_own_handle() -> None:
    class ModelHandle(Handle):
        version: int

    register_handle(ModelHandle)
    assert back(GuardedXCom.serialize_value(ModelHandle(version=3), key="return_value")) == ModelHandle(
        version=3
    )

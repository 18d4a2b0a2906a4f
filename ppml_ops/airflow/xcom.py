"""XCom backend that lets nothing through but the handles: an allow-list in both directions.

Set `AIRFLOW__CORE__XCOM_BACKEND=ppml_ops.airflow.xcom.GuardedXCom`.
"""

import re
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom
from pydantic import ValidationError

from ppml_ops.airflow import handles
from ppml_ops.errors import ConfigError

_TAG = "__ppml__"
_REGISTRY: dict[str, type[handles.Handle]] = {
    f"{model.__name__}/1": model
    for model in vars(handles).values()
    if isinstance(model, type) and issubclass(model, handles.Handle) and model is not handles.Handle
}
_TAGS = {model: tag for tag, model in _REGISTRY.items()}
#: Airflow itself pushes these (branching, triggering, pods); their shape is checked, their key is fixed.
_NAME = re.compile(r"[A-Za-z0-9._:+-]{1,250}")
_PLAIN_KEYS = ("trigger_run_id", "pod_name", "pod_namespace")
_MAX_ITEMS = 10_000


def register_handle(model: type[handles.Handle]) -> None:
    """Allow a further model: users' own operators register theirs. Frozen, `extra=forbid`, ids and digests."""
    _REGISTRY[f"{model.__name__}/1"] = model
    _TAGS[model] = f"{model.__name__}/1"


def _refused(key: str | None, task_id: str | None, why: str) -> ConfigError:
    return ConfigError(
        f"the XCom value {key!r} of task {task_id!r} was refused: {why}",
        next_step="return one of the handles of ppml_ops.airflow.handles; data and keys never go through XCom",
        who="the author of the DAG",
    )


def _encode_one(value: Any, key: str | None, task_id: str | None) -> dict[str, Any]:
    tag = _TAGS.get(type(value))
    if tag is None:
        raise _refused(key, task_id, f"its type {type(value).__name__} is not on the allow-list")
    return {_TAG: tag, "v": value.model_dump(mode="json")}


def _decode_one(value: Any) -> handles.Handle:
    if not isinstance(value, dict) or set(value) != {_TAG, "v"} or value[_TAG] not in _REGISTRY:
        raise _refused(None, None, "it carries no known tag")
    try:
        return _REGISTRY[value[_TAG]].model_validate(value["v"])
    except ValidationError:
        raise _refused(None, None, f"it is not a valid {value[_TAG]}") from None


def _is_airflows_own(key: str | None, value: Any) -> bool:
    if key == "skipmixin_key":
        return (
            isinstance(value, dict)
            and set(value) <= {"skipped", "followed"}
            and all(isinstance(v, list) and all(_is_name(item) for item in v) for v in value.values())
        )
    return key in _PLAIN_KEYS and _is_name(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


class GuardedXCom(BaseXCom):
    """Handles and lists of handles pass; everything else fails the task that pushes or reads it."""

    @staticmethod
    def serialize_value(
        value: Any,
        *,
        key: str | None = None,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
    ) -> Any:
        """Tagged JSON data. Raises ConfigError for what is not allowed."""
        if _is_airflows_own(key, value):
            return {_TAG: f"airflow/{key}", "v": value}
        if isinstance(value, list | tuple):
            if len(value) > _MAX_ITEMS:
                raise _refused(key, task_id, f"it has more than {_MAX_ITEMS} items")
            return [_encode_one(item, key, task_id) for item in value]
        return _encode_one(value, key, task_id)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """The handle or list of handles. Raises ConfigError for what carries no known tag."""
        value = result.value
        if isinstance(value, dict) and str(value.get(_TAG, "")).startswith("airflow/"):
            own = value.get("v")
            if _is_airflows_own(str(value[_TAG]).removeprefix("airflow/"), own):
                return own
        if isinstance(value, list):
            return [_decode_one(item) for item in value]
        return _decode_one(value)

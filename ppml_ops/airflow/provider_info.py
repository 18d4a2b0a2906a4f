"""What Airflow's provider manager asks an installed provider for."""

from typing import Any

import ppml_ops


def get_provider_info() -> dict[str, Any]:
    """Provider metadata, by the schema `provider_info.schema.json` of Airflow."""
    return {
        "package-name": "ppml-ops",
        "name": "PPML Ops",
        "description": "Confidential Spark pipelines: seal, attest, run in a TEE, gather, open, prove.",
        "versions": [ppml_ops.__version__],
        "connection-types": [_broker(), _key_service(), _storage()],
    }


def _broker() -> dict[str, Any]:
    """Host and port are Airflow's own fields: its page can't test a connection that has no port."""
    kind = _connection_type(
        "ppml_broker",
        "PPML key broker",
        "broker.PpmlBrokerHook",
        {
            "ca_file": _field("CA file", "PEM of the broker's own CA, on every worker", required=True),
            # No "token" in these names: Airflow would take the values for secrets and show stars.
            "credential_file": _field(
                "Owner credential file", "Path on owner workers, mode 0600; never the credential itself"
            ),
            "credential_variable": _field(
                "Owner credential variable",
                "Instead of a file: name of an Airflow variable that only owner workers' secrets backend has",
            ),
        },
    )
    kind["ui-field-behaviour"]["hidden-fields"] = ["login", "password", "schema", "extra"]
    kind["ui-field-behaviour"]["placeholders"] = {"host": "broker.example", "port": "8443"}
    return kind


def _key_service() -> dict[str, Any]:
    return _connection_type(
        "ppml_key_service",
        "PPML key service",
        "key_service.PpmlKeyServiceHook",
        {"uri": _field("URI", "Where primary keys are made: broker:, local:, local:/folder/", required=True)},
    )


def _storage() -> dict[str, Any]:
    return _connection_type(
        "ppml_storage",
        "PPML storage of sealed data sets",
        "storage.PpmlStorageHook",
        {
            "url": _field(
                "Folder or URL", "/folder or any URL that fsspec reads, with its driver", required=True
            )
        },
    )


def _connection_type(name: str, title: str, hook: str, fields: dict[str, Any]) -> dict[str, Any]:
    """No field for a secret is shown: what is typed in there would lie in Airflow's database."""
    return {
        "connection-type": name,
        "hook-name": title,
        "hook-class-name": f"ppml_ops.airflow.hooks.{hook}",
        "ui-field-behaviour": {
            "hidden-fields": ["host", "port", "login", "password", "schema", "extra"],
            "relabeling": {},
            "placeholders": {},
        },
        "conn-fields": fields,
    }


def _field(label: str, description: str, *, required: bool = False) -> dict[str, Any]:
    kind: Any = "string" if required else ["string", "null"]
    return {"label": label, "description": description, "schema": {"type": kind, "maxLength": 1000}}

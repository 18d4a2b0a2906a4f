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
    }

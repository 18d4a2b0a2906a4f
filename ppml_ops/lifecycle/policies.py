"""The owner's release policies: files under `owner/policies/`, handed to the broker.

In a simulated trust domain a data set without a policy gets one that pins this installation's own simulated
platform and runner. It is renewed while nobody edits it, because an upgrade changes the runner's measurement.
It never allows a run without a TEE, whatever profile the run has: only the owner can write that.
A real trust domain never gets a policy by itself: deny by default.
"""

import json

import yaml

from ppml_ops.attestation.measure import runner_digest
from ppml_ops.broker.client import BrokerClient
from ppml_ops.canonical import sha256_hex
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir, write_private
from ppml_ops.lifecycle.run import Run

_MARK = "# Written by PPML Ops for the SIMULATED platform; renewed until you edit it. digest "


def ensure_policy(run: Run, broker: BrokerClient, dataset: str, purpose: str) -> None:
    """Hand the owner's policy of `dataset` to the broker, writing the simulated default if there is none.

    Raises:
        ConfigError: there is no policy and the trust domain is a real one.
    """
    path = private_dir(run.home / "owner" / "policies") / f"{dataset}.yaml"
    text = path.read_text("utf-8") if path.exists() else None
    if text is None and not broker.info().simulated:
        raise ConfigError(
            f"data set {dataset} has no release policy, so no key of it will ever be released",
            next_step=f"write {path} (docs/policies.md) and clear this task",
            who="the data owner",
        )
    if text is None or _untouched(text):
        text = _simulated_policy(run, dataset, sorted({purpose, *_purposes(text)}))
        write_private(path, text.encode())
    broker.put_policy(dataset, text)


def _untouched(text: str) -> bool:
    first, _, body = text.partition("\n")
    return first == _MARK + sha256_hex(body.encode())


def _purposes(text: str | None) -> list[str]:
    """What the policy so far allows: two DAGs on one data set must not take it from each other."""
    return list(yaml.safe_load(text)["release"][0]["purpose"]) if text else []


def _simulated_policy(run: Run, dataset: str, purposes: list[str]) -> str:
    values = json.loads((run.home / "sim" / "reference_values.json").read_bytes())
    measurements = {name: [values[name]] for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2")}
    rule = {
        "purpose": purposes,
        "simulated": True,
        "ticket": {"required": True},
        "tee": ["tdx"],
        "measurements": measurements | {"rtmr3": "job_digest", "runner": [runner_digest()]},
        "tcb": {"status": ["UpToDate"], "max_collateral_age": "30d"},
    }
    body = yaml.safe_dump({"dataset": dataset, "release": [rule]}, sort_keys=False)
    return f"{_MARK}{sha256_hex(body.encode())}\n{body}"

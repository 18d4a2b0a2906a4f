"""The agent in the TEE: checks the job against its ticket, attests, and hands the key ring to the JVM.

    python -I -m ppml_ops.spark.agent agent.json        (key ring JSON on stdout, see `key_ring`)

The Spark plugin starts it in every JVM, the entry point uses it in its own process. Refusals are one line on
stderr and the exit code of their class: 77 denied, 76 integrity, 78 configuration, 75 transient.
"""

import base64
import binascii
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.errors import ConfigError, DeniedError, PpmlError, TransientError
from ppml_ops.spark.placement import AgentConfig

if TYPE_CHECKING:
    from ppml_ops.broker.bundle import KeyBundle

MAX_CONFIG_BYTES = 256 * 1024
MAX_TICKET_BYTES = 4 << 20
#: Beside agent.json: which keys the entry point got, see `check_same_keys`.
BUNDLE_DIGEST = "bundle.sha256"
#: Together with the last try (a few requests of seconds) less than the two minutes that a JVM gives its agent.
PATIENCE_SECONDS = 45.0
PAUSE_SECONDS = 1.0


def read_config(path: Path) -> AgentConfig:
    """`agent.json`.

    Raises:
        ConfigError: missing, unreadable, too large, or not such a document.
    """
    try:
        return AgentConfig.model_validate_json(_read(path, MAX_CONFIG_BYTES))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise ConfigError(
            f"the agent's configuration {path} is not valid: {where}: {first['msg']}",
            next_step="let the launcher write it anew: begin a new generation",
        ) from None


def check_measurement(config: AgentConfig, ticket: str, job_digest: str | None = None) -> None:
    """Compare what lies here with what the owner signed, before anyone is asked for a key.

    The broker checks the ticket's signature and compares the digest in the evidence; of files this only says
    early and clearly what has changed.

    Args:
        config: says where job and code lie.
        ticket: compact JWS.
        job_digest: of the job as the caller has read it before, which may differ from what lies there now.

    Raises:
        DeniedError: code or job differ from the ticket's, or the ticket can't be read.
        ConfigError: code or job can't be read.
    """
    from ppml_ops.attestation.measure import MAX_JOB_BYTES, measured_job_digest

    wanted = _claims(ticket).get("job_digest")
    measured = {measured_job_digest(_read(Path(config.job), MAX_JOB_BYTES), Path(config.code))}
    if job_digest is not None:
        measured.add(job_digest)
    if measured != {wanted}:
        raise DeniedError(
            f"the code or job at {config.code} is not what the ticket was signed for: "
            f"ticket {str(wanted)[:96]}, measured {', '.join(sorted(measured))}",
            next_step="issue a new ticket if the change is meant, else bring the signed code back",
        )


def release(config: AgentConfig, job_digest: str | None = None) -> "KeyBundle":
    """The job's keys from the broker, against evidence of this process's TEE.

    A broker or platform that is away is waited for: one that is back within `PATIENCE_SECONDS` ends no job.

    Args:
        config: what agent.json says.
        job_digest: see `check_measurement`.

    Raises:
        DeniedError, IntegrityError, ConfigError
        TransientError: nobody answered for `PATIENCE_SECONDS`.
    """
    ticket = _read(Path(config.ticket), MAX_TICKET_BYTES).decode("ascii", "replace").strip()
    check_measurement(config, ticket, job_digest)
    from ppml_ops.attestation.evidence import provider_for
    from ppml_ops.broker.client import BrokerClient

    provider = provider_for(config.device.model_dump(mode="json"))
    client = BrokerClient(config.broker_url, Path(config.broker_ca))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return client.release(ticket, provider, config.generation, config.tee)
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)


def bundle_digest(bundle: dict[str, Any]) -> str:
    """SHA-256 of a released bundle; of two releases of one ticket it is the same."""
    return sha256_hex(canonical_json({name: value for name, value in bundle.items() if name != "release"}))


def check_same_keys(bundle: dict[str, Any], path: Path) -> None:
    """Compare with what the entry point of this TEE got and left at `path`, when there is one.

    The orchestrator chooses broker and ticket. One that answered the entry point itself, with keys of its own,
    and passed the JVM on to the true broker, would read log and RPC traffic of a job with true data.

    Raises:
        DeniedError: other keys or settings.
        ConfigError: the file can't be read.
    """
    if path.exists() and _read(path, 64) != bundle_digest(bundle).encode():
        raise DeniedError(
            "two brokers answered: the keys of this process differ from those that its entry point got",
            next_step="find out who answers at the broker's address, or who changed a policy just then",
        )


def key_ring(bundle: dict[str, Any], config: AgentConfig) -> dict[str, Any]:
    """The document for the JVM: released keys and versions joined with the folders of this placement.

    Args:
        bundle: the released bundle as JSON data: trust_domain, datasets[{dataset, mode, key, version,
            manifest_digest, manifest}].
        config: gives the generation and the bindings.

    Raises:
        ConfigError: a released data set has no binding here.
    """
    bindings = {binding.dataset: binding for binding in config.bindings}
    datasets = []
    for item in bundle["datasets"]:
        name = item["dataset"]
        if name not in bindings:
            raise ConfigError(
                f"the ticket names data set {name!r}, but the placement has no folder for it",
                next_step="place the data set on the nodes and begin a new generation",
            )
        bases = [base.model_dump(mode="json") for base in bindings[name].bases]
        entry = {"dataset": name, "mode": item["mode"], "key": item["key"], "bases": bases}
        if item["mode"] == "read":
            entry["manifest"] = {"version": item["version"], "digest": item["manifest_digest"]}
        else:
            entry |= {"version": item["version"], "manifest": item["manifest"]}
            entry["spread"] = bindings[name].spread
        datasets.append(entry)
    return {
        "ppml": "keyring/1",
        "trust_domain": bundle["trust_domain"],
        "generation": config.generation,
        "datasets": datasets,
    }


def one_line(error: BaseException) -> tuple[str, int]:
    """What a refusal says on stderr (what, who, next step) and its exit code.

    Foreign exceptions give their class only: their text could hold anything.
    """
    if isinstance(error, PpmlError):
        return " ".join(str(error).split()), error.exit_code
    if isinstance(error, OSError):
        transient = TransientError(
            f"the agent was stopped by {type(error).__name__}", next_step="try again; look at the host's log"
        )
        return str(transient), transient.exit_code
    failure = ConfigError(f"the agent failed with {type(error).__name__}", next_step="report this as a bug")
    return str(failure), failure.exit_code


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror}", next_step="begin a new generation of the job"
        ) from None
    if len(data) > limit:
        raise ConfigError(f"{path} has more than {limit} bytes", next_step="begin a new generation of the job")
    return data


def _claims(ticket: str) -> dict[str, Any]:
    """The payload of a compact JWS, unverified."""
    try:
        payload = ticket.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise DeniedError("the job ticket is not a compact JWS", next_step="issue a new ticket")
    return claims


def main(arguments: list[str]) -> int:
    """Run once; returns the exit code."""
    try:
        if len(arguments) != 1:
            raise ConfigError("the agent takes one argument", next_step="give the path of agent.json")
        config = read_config(Path(arguments[0]))
        bundle = release(config).model_dump(mode="json")
        check_same_keys(bundle, Path(arguments[0]).with_name(BUNDLE_DIGEST))
        sys.stdout.buffer.write(canonical_json(key_ring(bundle, config)))
        sys.stdout.buffer.flush()
    except Exception as error:  # noqa: BLE001  # the boundary: class and next step only, never a traceback
        line, code = one_line(error)
        sys.stderr.write(line + "\n")
        return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""issue_ticket (owner, setup): sign which job may use which data, and mint the keys of its results.

Get-or-create: Airflow runs it again on nearly every clear. A ticket that still fits is kept.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from ppml_ops.attestation.measure import code_digest
from ppml_ops.broker.tickets import ReadBinding, TicketClaims, WriteBinding, owner_key, sign_ticket
from ppml_ops.canonical import sha256_hex
from ppml_ops.datasets.manifest import ManifestHead, Producer
from ppml_ops.datasets.promise import read_by, written_by
from ppml_ops.datasets.unseal import check_version
from ppml_ops.errors import IntegrityError
from ppml_ops.files import private_dir, write_private
from ppml_ops.keys.service import key_service_for, new_data_key
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.data_keys import open_data_key
from ppml_ops.lifecycle.generate_key import key_of
from ppml_ops.lifecycle.inputs import input_store
from ppml_ops.lifecycle.owner_notes import recall, remember
from ppml_ops.lifecycle.policies import ensure_policy
from ppml_ops.lifecycle.run import Run
from ppml_ops.lifecycle.tickets import (
    issued_tickets,
    note_ticket,
    owner_key_file,
    owners_ticket,
    retire_all,
    ticket_path,
)
from ppml_ops.receipts.records import Facts
from ppml_ops.spark.job import CodeBundle, JobDataset, SparkJob, not_a_job

#: Longer than the time limit of any profile's job, so that a slow one can still replace an executor.
LIFETIME_SECONDS = 26 * 3600


def build_job(
    run: Run,
    *,
    name: str,
    application: Path,
    arguments: Sequence[str],
    reads: Sequence[str],
    writes: Sequence[str],
    main: str | None = None,
    main_class: str | None = None,
    conf: Mapping[str, str] = MappingProxyType({}),
) -> SparkJob:
    """The job as it will be signed and measured.

    Args:
        application: a `.py` file, a folder whose script `main` is the program, or a `.jar` with `main_class`.
        reads: data sets that it reads.
        writes: data sets that it writes; the first one also gets the sealed log.
        conf: Spark settings from the allow-list.

    Raises:
        ConfigError: the code can't be read, or the job can't be like that.
    """
    day = {"date": run.day.isoformat()}
    try:
        return SparkJob(
            name=name,
            code=CodeBundle(
                main=main or application.name, main_class=main_class, digest=code_digest(application)
            ),
            arguments=tuple(arguments),
            datasets=(
                *(JobDataset(dataset=dataset, mode="read", partition=day) for dataset in reads),
                *(JobDataset(dataset=dataset, mode="write", partition=day) for dataset in writes),
            ),
            conf=dict(conf),
            resources=run.profile.resources,
            profile=run.profile.name,
            topology=run.profile.topology,
        )
    except ValidationError as error:
        raise not_a_job(error, who="the author of the DAG") from None


def issue_ticket(
    run: Run,
    facts: Facts,
    *,
    job: SparkJob,
    application: Path,
    key_service: str,
    purpose: str,
    in_place: Mapping[str, str] = MappingProxyType({}),
    job_is_done: bool = False,
) -> str:
    """Sign a ticket for `job`, or keep the run's current one; returns the ticket's id.

    Args:
        in_place: URLs of inputs that were sealed before and are read where they lie.
        job_is_done: submit has succeeded and is not going to run again, so the ticket that it ran under is
            confirmed although it is spent: what comes after needs no key from the broker.

    Raises:
        DataError: an input has no sealed version for this day.
        IntegrityError: an input is not what was sealed.
    """
    claims = _spent(run) if job_is_done else None
    if claims is None:
        reads = [item.dataset for item in job.datasets if item.mode == "read"]
        bindings = [_read_binding(run, dataset, in_place, key_service) for dataset in reads]
        claims = _current(run, job, bindings) or _sign(run, job, bindings, key_service, purpose)
        write_private(run.job_file, job.canonical())
    remember(run, ticket=claims.jti)
    inputs = read_by(claims)
    facts.update(
        ticket=claims.jti,
        job_digest=claims.job_digest,
        expires=claims.exp,
        application=str(application),
        outputs={output.dataset: output.version for output in written_by(claims)},
        inputs={binding.dataset: binding.manifest_digest for binding in inputs},
        input_versions={binding.dataset: binding.version for binding in inputs},
        in_place={one.dataset: in_place[one.dataset] for one in inputs if one.dataset in in_place},
    )
    return claims.jti


def _read_binding(run: Run, dataset: str, in_place: Mapping[str, str], key_service: str) -> ReadBinding:
    """Exactly the version that encrypt_upload sealed or verified; of an input in place, the newest."""
    store = input_store(run, dataset, in_place)
    if dataset in in_place:
        manifest = store.read()
        if manifest.dataset != dataset:
            raise IntegrityError(
                f"the data set at {store.folder} is {manifest.dataset}, not {dataset}",
                next_step="correct the input's URL or its data set id",
                who="the author of the DAG",
            )
    else:
        sealed = recall(run, f"sealed:{dataset}", "encrypt_upload")
        manifest = store.read(sealed["version"])
        if manifest.digest != sealed["manifest_digest"]:
            raise IntegrityError(
                f"version {manifest.version} of {dataset} is not the one that encrypt_upload left there",
                next_step="restore the data set from a good copy, or clear `encrypt_upload`",
            )
    primary = key_of(key_service, dataset)
    check_version(store, manifest, open_data_key(run.home, manifest, primary, run.broker))
    return ReadBinding(
        dataset=dataset,
        version=manifest.version,
        manifest_digest=manifest.digest,
        data_key_id=manifest.data_key_id,
        wraps=list(manifest.wraps),
    )


def _spent(run: Run) -> TicketClaims | None:
    """The owner's last ticket, if it is the one that the finished submit ran under."""
    jti = recall(run, "ticket", "issue_ticket", default=None)
    submitted = run.records.all().get("submit")
    if submitted is None or submitted.outcome != "done" or submitted.facts.get("ticket") != jti:
        return None
    return owners_ticket(run, str(jti))


def _current(run: Run, job: SparkJob, bindings: list[ReadBinding]) -> TicketClaims | None:
    """A ticket of this run that is alive and still fits; also one that a kill left unrecorded."""
    for jti, retired in issued_tickets(run).items():
        if retired is not None:
            continue
        try:
            claims = owners_ticket(run, jti)
        except IntegrityError:
            continue  # a new one is signed, and the broker never sees this one
        if (
            claims.job_digest == job.job_digest
            and claims.exp > time.time() + LIFETIME_SECONDS / 2
            and list(read_by(claims)) == bindings
            and not any(out.version in run.dataset(out.dataset).versions() for out in written_by(claims))
        ):
            return claims
    return None


def _sign(run: Run, job: SparkJob, bindings: list[ReadBinding], key_service: str, purpose: str) -> TicketClaims:
    owner = owner_key(owner_key_file(run))
    broker = broker_client(run.home, run.broker, owner=True)
    for item in job.datasets:  # an upgrade since generate_key has changed the runner's measurement
        ensure_policy(run, broker, item.dataset, purpose)
    broker.register_owner({name: str(value) for name, value in owner.as_dict(private=False).items()})
    domain = broker.info().trust_domain
    now = int(time.time())
    claims = TicketClaims(
        jti=uuid.uuid4().hex,
        iss=owner.thumbprint(),
        aud=domain,
        iat=now,
        nbf=now,
        exp=now + LIFETIME_SECONDS,
        run_key=run.key,
        job_digest=job.job_digest,
        purpose=purpose,
        recipients=[owner.thumbprint()],
        max_activations=run.profile.activations,
        datasets=[
            *bindings,
            *(_write_binding(run, job, dataset, key_service, domain) for dataset in job.written),
        ],
    )
    retire_all(run, broker)  # a run has one living ticket
    note_ticket(run, claims.jti)
    path = ticket_path(run, claims.jti)
    private_dir(path.parent)
    write_private(path, sign_ticket(claims, owner).encode())
    return claims


def _write_binding(run: Run, job: SparkJob, dataset: str, key_service: str, domain: str) -> WriteBinding:
    """A new data key and the next version number for a data set that the job writes."""
    store = run.dataset(dataset)
    latest = store.latest()
    wrap = key_service_for(key_service, home=run.home, broker=run.broker).wrap(
        key_of(key_service, dataset), new_data_key(), dataset
    )
    head = ManifestHead(
        dataset=dataset,
        data_key_id=uuid.uuid4().hex,
        schema=None,
        partition={"date": run.day.isoformat()},
        wraps=(wrap,),
        previous=latest.digest if latest else None,
        producer=Producer(run=run.key, spec=sha256_hex(job.canonical())),
        trust_domain=domain,
    )
    return WriteBinding(
        dataset=dataset,
        version=store.reserve(run.key),
        data_key_id=head.data_key_id,
        wraps=[wrap],
        manifest=head.document(),
    )

"""A run that is proven, made without running it: real keys, ticket, job, release records and manifests."""

import json
import uuid
from datetime import date
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from ppml_ops.broker.audit_record import GENESIS, AuditBody, AuditRecord
from ppml_ops.broker.jose import public_jwk
from ppml_ops.broker.state import audit_key
from ppml_ops.broker.tickets import TicketClaims, sign_ticket
from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.datasets.manifest import Manifest, ManifestHead, Part, Producer, build_manifest
from ppml_ops.keys.model import KeyRef, WrappedKey
from ppml_ops.keys.service import new_data_key
from ppml_ops.keys.wrapping import wrap_data_key
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.anchors import Anchors
from ppml_ops.receipts.evidence import Evidence
from ppml_ops.receipts.judge import STAGES
from ppml_ops.receipts.records import StageRecord
from ppml_ops.receipts.signed import sign_document
from ppml_ops.spark.job import CodeBundle, JobDataset, SparkJob

DOMAIN = "ab" * 32
AT = 1_790_000_000
NODES = ["node-a", "node-b"]


class Proof:
    """All documents of one proven run, and the keys that signed them.

    Args:
        run: whose they are.
        domain: trust domain.
        like: a former proof of the same installation: its keys sign this one too.
        version: of input and result.
    """

    def __init__(self, run: Run, domain: str = DOMAIN, like: "Proof | None" = None, version: int = 1) -> None:
        self.run = run
        self.domain = domain
        self.owner = like.owner if like else OKPKey.generate_key("Ed25519")
        self.broker = like.broker if like else OKPKey.generate_key("Ed25519")
        self.signer = like.signer if like else OKPKey.generate_key("Ed25519")
        self.job = SparkJob(
            name="simple-query",
            code=CodeBundle(main="simple_query.py", digest="cd" * 32),
            datasets=(
                JobDataset(dataset="sim-people", mode="read"),
                JobDataset(dataset="sim-result", mode="write"),
            ),
        )
        self.input = self._manifest("sim-people", version)
        self.result = self._manifest("sim-result", version)
        self.claims = self._claims()
        self.ticket = sign_ticket(self.claims, self.owner)
        self.releases = [self.release(activation) for activation in (1, 2)]

    @property
    def generation(self) -> str:
        return f"{self.run.key}-g1"

    @property
    def anchors(self) -> Anchors:
        return Anchors(
            trust_domain=self.domain,
            simulated=True,
            broker_keys=(public_jwk(self.broker),),
            owner_keys=(public_jwk(self.owner),),
            receipt_signers=(public_jwk(self.signer),),
        )

    @property
    def evidence(self) -> Evidence:
        return Evidence(
            ticket=self.ticket,
            job=self.job.model_dump(mode="json"),
            releases=tuple(self.releases),
            manifests=(self.input.document(), self.result.document()),
        )

    def facts(self, stage: str) -> dict[str, Any]:
        """What `stage` records of this run."""
        ticket, job = self.claims.jti, self.claims.job_digest
        inputs = {"sim-people": self.input.digest}
        of_result = {"ticket": ticket, "results": {self.result.dataset: self.result.digest}}
        of_stage: dict[str, dict[str, Any]] = {
            "encrypt_upload": {"dataset": "sim-people", "manifest_digest": self.input.digest},
            "issue_ticket": {"ticket": ticket, "job_digest": job, "inputs": inputs, "in_place": {}},
            "distribute": {"inputs": inputs},
            "attest": {"allow": True, "job_digest": job, "simulated": True, "attested": True},
            "submit": of_result
            | {
                "job_digest": job,
                "nodes": NODES,
                "generation": self.generation,
                "releases": [record.digest for record in self.releases],
                "measurements": self.releases[-1].body.get("measurements"),
                "policies": self.releases[-1].body.get("policies"),
            },
            "gather": of_result,
            "merge": of_result | {"versions": {self.result.dataset: self.result.version}},
            "decrypt": of_result | {"matches_expected": True},
            "verify_run": of_result,
            "retire_ticket": {"ticket": ticket},
            "clean_up": {"ticket": ticket},
        }
        return of_stage.get(stage, {})

    def records(self) -> list[StageRecord]:
        """One record of each stage, in their order."""
        indexed = {"gather": NODES, "encrypt_upload": ["sim-people"]}
        pairs = [(stage, index) for stage in STAGES for index in indexed.get(stage, [None])]
        return [
            StageRecord(
                stage=stage,
                index=index,
                outcome="done",
                started=AT + number,
                finished=AT + number + 0.5,
                facts=self.facts(stage),
            )
            for number, (stage, index) in enumerate(pairs)
        ]

    def document(self, **changes: Any) -> dict[str, Any]:
        """An unsigned receipt; `changes` replaces members."""
        return {
            "ppml": "receipt/2",
            "run": self.run.identity.model_dump(mode="json"),
            "number": 1,
            "previous": None,
            "written": AT + 100,
            "proven": True,
            "problems": [],
            "zones_isolated": False,
            "stages": list(STAGES),
            "records": [record.model_dump(mode="json") for record in self.records()],
            "evidence": self.evidence.model_dump(mode="json"),
        } | changes

    def receipt(self, **changes: Any) -> bytes:
        """The signed file."""
        return canonical_json(sign_document(self.document(**changes), self.signer))

    def release(self, activation: int, **changes: Any) -> AuditRecord:
        """A release record as the broker writes it; `changes` replaces members."""
        body = {
            "ppml": "audit/1",
            "seq": 10 + activation,
            "at": AT + 7,
            "prev": GENESIS,
            "trust_domain": self.domain,
            "event": "release",
            "ticket": self.claims.jti,
            "ticket_digest": sha256_hex(self.ticket.encode()),
            "run_key": self.claims.run_key,
            "issuer": self.claims.iss,
            "generation": self.generation,
            "activation": activation,
            "purpose": self.claims.purpose,
            "job_digest": self.claims.job_digest,
            "simulated": True,
            "attested": True,
            "policies": {"sim-people": "1" * 64},
            "measurements": {"tee": "tdx", "job_digest": self.claims.job_digest},
            "datasets": [
                {
                    "dataset": one.dataset,
                    "mode": one.mode,
                    "version": one.version,
                    "data_key_id": one.data_key_id,
                    "manifest_digest": getattr(one, "manifest_digest", None),
                    "key": one.wraps[0].key,
                }
                for one in self.claims.datasets
            ],
        }
        return AuditRecord.sign(AuditBody.model_validate(body | changes), audit_key(self.broker))

    def store(self) -> None:
        """Put ticket, job, release records and manifests where the life cycle leaves them."""
        from ppml_ops.files import private_dir, write_private
        from ppml_ops.lifecycle.evidence import keep_releases
        from ppml_ops.lifecycle.tickets import ticket_path

        path = ticket_path(self.run, self.claims.jti)
        private_dir(path.parent)
        write_private(path, self.ticket.encode())
        write_private(self.run.job_file, self.job.canonical())
        keep_releases(self.run, self.claims.jti, self.releases)
        for manifest in (self.input, self.result):
            self.run.dataset(manifest.dataset).publish(manifest)

    def _manifest(self, dataset: str, version: int) -> Manifest:
        key, ref = new_data_key(), KeyRef.parse(f"local:{dataset}?version=1")
        self.wrap: WrappedKey = wrap_data_key(new_data_key(), ref, key, dataset)
        head = ManifestHead(
            dataset=dataset,
            data_key_id=uuid.uuid4().hex,
            schema=None,
            partition={"date": self.run.day.isoformat()},
            wraps=(self.wrap,),
            previous=None,
            producer=Producer(run=self.run.key, spec=""),
            trust_domain=self.domain,
        )
        return build_manifest(head, version, [Part(path="t/part-0", length=56, header="28" * 40)], key)

    def _claims(self) -> TicketClaims:
        read, written = self.input, self.result.document()
        head = {name: value for name, value in written.items() if name not in ("version", "parts", "mac")}
        claims = {
            "jti": uuid.uuid4().hex,
            "iss": self.owner.thumbprint(),
            "aud": self.domain,
            "iat": AT,
            "nbf": AT,
            "exp": AT + 3600,
            "run_key": self.run.key,
            "job_digest": self.job.job_digest,
            "purpose": "simple-query",
            "recipients": [],
            "max_activations": 16,
            "datasets": [
                {
                    "dataset": read.dataset,
                    "mode": "read",
                    "version": read.version,
                    "manifest_digest": read.digest,
                    "data_key_id": read.data_key_id,
                    "wraps": [wrap.model_dump() for wrap in read.wraps],
                },
                {
                    "dataset": self.result.dataset,
                    "mode": "write",
                    "version": self.result.version,
                    "data_key_id": self.result.data_key_id,
                    "wraps": [wrap.model_dump() for wrap in self.result.wraps],
                    "manifest": head,
                },
            ],
        }
        return TicketClaims.model_validate_json(json.dumps(claims))


def run_in(home: Path, run_id: str = "r") -> Run:
    """A run with its state in `home`."""
    return Run(
        home=home,
        storage=str(home / "storage"),
        dag_id="d",
        run_id=run_id,
        run_type="manual",
        day=date(2026, 11, 20),
        profile_name="local",
    )

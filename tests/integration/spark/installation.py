"""A small installation in a temporary folder: simulated platform, key broker, owner, two nodes."""

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ppml_ops.attestation.measure import code_digest, runner_digest
from ppml_ops.broker.client import BrokerClient
from ppml_ops.broker.serve import serve
from ppml_ops.broker.tickets import ReadBinding, TicketClaims, WriteBinding, owner_key, sign_ticket
from ppml_ops.crypto.sealed import SealedReader
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.manifest import ManifestHead, Producer
from ppml_ops.datasets.seal import find_sources, seal_sources
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.keys.broker import read_token
from ppml_ops.keys.service import key_service_for, new_data_key
from ppml_ops.spark.job import CodeBundle, JobDataset, SparkJob
from ppml_ops.spark.launcher import LocalLauncher
from ppml_ops.spark.placement import Base, Binding, Placement
from ppml_ops.spark.profiles import load_profile
from ppml_ops.spark.sealedlog import LOG_FOLDER, log_pieces
from ppml_sim import service

PURPOSE = "tests"
NODES = ("node-a", "node-b")


@dataclass
class Site:
    """The installation; keys of its data sets are kept here so that tests can open what jobs wrote."""

    home: Path
    keys: dict[str, bytes] = field(default_factory=dict)
    _heads: dict[str, ManifestHead] = field(default_factory=dict)

    def broker(self) -> BrokerClient:
        endpoint = json.loads((self.home / "broker/endpoint.json").read_bytes())
        token = read_token(self.home / "broker" / "owner.token")
        return BrokerClient(endpoint["url"], Path(endpoint["ca"]), token=token)

    def head(self, dataset: str) -> ManifestHead:
        """Data key, wrap and policy of a new data set version."""
        service_ = key_service_for("broker:", home=self.home)
        ref = service_.create(_ref(dataset))
        key = self.keys[dataset] = new_data_key()
        self.broker().put_policy(dataset, self.policy(dataset))
        self._heads[dataset] = ManifestHead(
            dataset=dataset,
            data_key_id=uuid.uuid4().hex,
            schema=None,
            partition={},
            wraps=(service_.wrap(ref, key, dataset),),
            previous=None,
            producer=Producer(run="test", spec="0" * 64),
            trust_domain=self.broker().info().trust_domain,
        )
        return self._heads[dataset]

    def policy(self, dataset: str) -> str:
        values = json.loads((self.home / "sim/reference_values.json").read_bytes())
        measurements = {name: [values[name]] for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2")} | {
            "rtmr3": "job_digest",
            "runner": [runner_digest()],
        }
        rule = {
            "purpose": [PURPOSE], "simulated": True, "ticket": {"required": True}, "tee": ["tdx"],
            "measurements": measurements, "tcb": {"status": ["UpToDate"], "max_collateral_age": "30d"},
        }  # fmt: skip
        return yaml.safe_dump({"dataset": dataset, "release": [rule]})

    def node(self, node: str, dataset: str, generation: str = "in") -> Folder:
        folder = self.home / "nodes" / node / generation / dataset
        folder.mkdir(parents=True, exist_ok=True)
        return Folder(folder)

    def seal(self, dataset: str, source: Path, table: str) -> None:
        """Seal the files of `source`; the manifest and even parts lie on node-a, odd ones on node-b."""
        store = DatasetStore(self.node("node-a", dataset))
        manifest = seal_sources(
            find_sources(str(source)), store, self.head(dataset), 1, self.keys[dataset], table=table
        )
        for part in manifest.parts[1::2]:
            target = self.node("node-b", dataset).local(part.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            store.folder.local(part.path).rename(target)

    def job(
        self, code: Path, arguments: list[str], *, reads: list[str], write: str, **more: object
    ) -> SparkJob:
        datasets = [JobDataset(dataset=name, mode="read") for name in reads]
        return SparkJob(
            name="integration",
            code=CodeBundle(main=code.name, digest=code_digest(code)),
            arguments=tuple(arguments),
            datasets=(*datasets, JobDataset(dataset=write, mode="write")),
            **more,  # type: ignore[arg-type]
        )

    def placement(self, job: SparkJob, code: Path, generation: str, *, activations: int = 8) -> Placement:
        """Sign a ticket for `job` and say where everything lies."""
        write = job.written[0]
        head = self.head(write)
        owner = owner_key(self.home / "owner" / "ticket-signing.jwk")
        self.broker().register_owner(owner.as_dict(private=False))
        reads = [item.dataset for item in job.datasets if item.mode == "read"]
        now = int(time.time())
        claims = TicketClaims(
            jti=uuid.uuid4().hex, iss=owner.thumbprint(), aud=head.trust_domain,
            iat=now, nbf=now, exp=now + 3600,
            run_key="test", job_digest=job.job_digest, purpose=PURPOSE, recipients=[owner.thumbprint()],
            max_activations=activations,
            datasets=[
                *(self._read_binding(dataset) for dataset in reads),
                WriteBinding(
                    dataset=write, version=1, data_key_id=head.data_key_id, wraps=list(head.wraps),
                    manifest=head.document(),
                ),
            ],
        )  # fmt: skip
        folder = self.home / "runs" / generation
        folder.mkdir(parents=True)
        (folder / "ticket.jws").write_text(sign_ticket(claims, owner))
        endpoint = json.loads((self.home / "broker/endpoint.json").read_bytes())
        places = dict.fromkeys(reads, "in") | {write: generation}
        return Placement(
            generation=generation,
            folder=str(folder),
            code=str(code),
            ticket=str(folder / "ticket.jws"),
            broker_url=endpoint["url"],
            broker_ca=endpoint["ca"],
            bindings=tuple(
                Binding(
                    dataset=dataset,
                    bases=tuple(Base(node=node, uri=self.node(node, dataset, place).uri) for node in NODES),
                )
                for dataset, place in places.items()
            ),
            versions={write: 1},
        )

    def _read_binding(self, dataset: str) -> ReadBinding:
        manifest = DatasetStore(self.node("node-a", dataset)).read(1)
        return ReadBinding(
            dataset=dataset, version=1, manifest_digest=manifest.digest, data_key_id=manifest.data_key_id,
            wraps=list(manifest.wraps),
        )  # fmt: skip

    def launcher(self, lines: list[str], **more: object) -> LocalLauncher:
        return LocalLauncher(
            load_profile("local"),
            platform_socket=self.home / "sim/platform.sock",
            on_line=lines.append,
            **more,  # type: ignore[arg-type]
        )

    def log(self, placement: Placement, dataset: str) -> str:
        """The sealed log of a generation, opened."""
        folder = self.node("node-a", dataset, placement.generation)
        text = b""
        (names,) = log_pieces(folder.names(LOG_FOLDER), placement.generation)
        for name in names:
            with folder.open_read(f"{LOG_FOLDER}/{name}") as file:
                text += SealedReader(file, self.keys[dataset], dataset.encode()).readall()
        return text.decode()

    def opened(self, placement: Placement, dataset: str) -> dict[str, bytes]:
        """The parts that the manifest of a written data set names, opened, whichever node they lie on."""
        manifest = DatasetStore(self.node("node-a", dataset, placement.generation)).read(1)
        manifest.check(self.keys[dataset])
        parts = {}
        for part in manifest.parts:
            path = self.node(part.node or "node-a", dataset, placement.generation).local(part.path)
            with path.open("rb") as file:
                parts[part.path] = SealedReader(file, self.keys[dataset], dataset.encode()).readall()
        return parts


def _ref(dataset: str) -> object:
    from ppml_ops.keys.model import KeyRef

    return KeyRef.parse(f"broker:{dataset}")


def traces(folder: Path, words: Mapping[str, bytes]) -> list[str]:
    """Files below `folder` in which one of the words stands in clear."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found += [f"{name}: {path}" for name, word in words.items() if word in data]
    return found


@contextmanager
def running_site(home: Path, host: str = "127.0.0.1") -> Iterator[Site]:
    """Start platform and broker, which listens on `host`; both are ended afterwards."""
    home.chmod(0o700)
    service.start(home)
    stop = threading.Event()
    broker = threading.Thread(
        target=serve,
        args=(home, home / "sim/root.der", home / "sim/collateral.json", host),
        kwargs={"stop": stop},
    )
    broker.start()
    try:
        deadline = time.monotonic() + 30
        while (
            not (home / "broker/endpoint.json").exists() and time.monotonic() < deadline and broker.is_alive()
        ):
            time.sleep(0.05)
        yield Site(home)
    finally:
        stop.set()
        broker.join(30)
        os.kill(json.loads((home / "sim/endpoint.json").read_bytes())["pid"], signal.SIGTERM)

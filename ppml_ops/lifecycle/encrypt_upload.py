"""encrypt_upload (owner): the day's plaintext becomes a version of the sealed data set. Reuses what fits.

A data-set version is (data set, partition, spec digest): the same input again is verified, not sealed again.
"""

import csv
import io
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.datasets.manifest import Manifest, ManifestHead, Producer, TableSchema
from ppml_ops.datasets.seal import Source, Stream, find_sources, remove_unpublished, seal_sources
from ppml_ops.datasets.store import DatasetStore, VersionTakenError
from ppml_ops.datasets.unseal import check_version
from ppml_ops.errors import ConfigError, DataError
from ppml_ops.files import file_lock, private_dir
from ppml_ops.keys.service import key_service_for, new_data_key
from ppml_ops.lifecycle.data_keys import open_data_key
from ppml_ops.lifecycle.generate_key import key_of
from ppml_ops.lifecycle.original import original_input, refuse_original
from ppml_ops.lifecycle.owner_notes import recall, remember
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts
from ppml_ops.workloads.generator import Generator

_HEADER_LIMIT = 1 << 20


@dataclass(frozen=True)
class Upload:
    """Where a day's input goes: `<dataset>/<table>/`, under the data set's key in `key_service`.

    `columns` must stand in the header of each CSV file; with none, files of any format are sealed as they are.
    `progress` gets plaintext bytes since its last call.
    """

    run: Run
    dataset: str
    table: str
    columns: Sequence[str]
    key_service: str
    progress: Callable[[int], None] = lambda _done: None

    def from_source(self, url: str) -> Manifest:
        """Seal the file, folder or URL `url`. Raises as `encrypt_upload`."""
        sources = find_sources(url)
        refuse_original(sources)
        for one in sources if self.columns else ():
            check_columns(one, self.columns)
        files = [one.folder.checksum(one.name)._asdict() | {"path": one.name} for one in sources]
        return self._seal_or_reuse({"files": files}, sources)

    def from_original(self, url: str, key: str) -> Manifest:
        """Seal the data set of BigDL PPML at `url` that `key` opens. Raises as `original_input`."""
        return self._seal_or_reuse(*original_input(self.run, url, key, self.columns))

    def from_generator(self, generator: Generator) -> Manifest:
        """Seal what `generator` makes; its plaintext exists only in between, also when either fails."""
        spec = {"generator": generator.spec}
        existing = self._existing(spec)
        if existing:
            return existing
        folder = private_dir(self.run.plaintext / "input")
        try:
            path = folder / f"{self.table}.csv"
            generator.write(path)
            return self._seal_or_reuse(spec, find_sources(str(path)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _spec_digest(self, spec: dict[str, Any]) -> str:
        return sha256_hex(canonical_json({"dataset": self.dataset, "table": self.table, **spec}))

    def _existing(self, spec: dict[str, Any]) -> Manifest | None:
        """The newest version if it was made from the same input, verified with its key."""
        store = self.run.dataset(self.dataset)
        latest = store.latest()
        if latest is None or latest.producer.spec != self._spec_digest(spec):
            return None
        key = open_data_key(self.run.home, latest, key_of(self.key_service, self.dataset), self.run.broker)
        check_version(store, latest, key)  # damage is for the owner to look at, not to be sealed over
        return latest

    def _seal_or_reuse(self, spec: dict[str, Any], sources: Sequence[Source | Stream]) -> Manifest:
        """Seal, unless the newest version is made of the same; also when another run was faster."""
        # A try whose former one still lives waits for it, instead of removing what that is about to publish.
        with file_lock(self.run.home / "locks" / f"{self.run.key}-{self.dataset}"):
            while True:
                existing = self._existing(spec)
                if existing:
                    return existing
                try:
                    return self._seal(spec, sources)
                except VersionTakenError:
                    continue

    def _seal(self, spec: dict[str, Any], sources: Sequence[Source | Stream]) -> Manifest:
        store = self.run.dataset(self.dataset)
        latest = store.latest()
        data_key = new_data_key()
        service = key_service_for(self.key_service, home=self.run.home, broker=self.run.broker)
        columns = tuple(self.columns)
        head = ManifestHead(
            dataset=self.dataset,
            data_key_id=self._new_data_key_id(store),
            schema=TableSchema(format="csv", header=True, columns=columns) if columns else None,
            partition={"date": self.run.day.isoformat()},
            wraps=(service.wrap(key_of(self.key_service, self.dataset), data_key, self.dataset),),
            previous=latest.digest if latest else None,
            producer=Producer(run=self.run.key, spec=self._spec_digest(spec)),
            trust_domain=str(self.run.records.facts("preflight")["trust_domain"]),
        )
        version = store.next_version()
        return seal_sources(sources, store, head, version, data_key, table=self.table, progress=self.progress)

    def _new_data_key_id(self, store: DatasetStore) -> str:
        """An id, noted before any part bears it, so that a try after a kill removes what the last one left."""
        note = f"sealing:{self.dataset}"
        former = recall(self.run, note, "encrypt_upload", default=None)
        if former is not None:
            remove_unpublished(store, former)
        data_key_id = uuid.uuid4().hex
        remember(self.run, **{note: data_key_id})
        return data_key_id


def encrypt_upload(
    upload: Upload,
    facts: Facts,
    *,
    source: str | None,
    generator: Generator | None,
    source_key: str | None = None,
) -> Manifest:
    """Seal `source` (a file, folder or URL of CSV), or else what `generator` makes.

    Args:
        source_key: `source` is a data set of BigDL PPML, and this its primary key: `simple:/folder/name`.

    Raises:
        DataError: no input, an empty file, or a missing column; nothing was published.
        IntegrityError: an existing version of this input is damaged, or the source was tampered with.
    """
    if source and source_key:
        manifest = upload.from_original(source, source_key)
        facts["source_key"] = source_key
    elif source_key:
        raise ConfigError(
            "the run has a key for its input and no input", next_step="give the folder of the data set as well"
        )
    elif source:
        manifest = upload.from_source(source)
    elif generator:
        manifest = upload.from_generator(generator)
    else:
        raise DataError("the run has no input", next_step="give the URL of the input")
    sealed = {"version": manifest.version, "manifest_digest": manifest.digest}
    remember(upload.run, **{f"sealed:{upload.dataset}": sealed})
    facts.update(
        dataset=upload.dataset,
        version=manifest.version,
        manifest_digest=manifest.digest,
        parts=len(manifest.parts),
        sealed_bytes=sum(part.length for part in manifest.parts),
        reused=manifest.producer.run != upload.run.key,
        key=manifest.wraps[0].key,
        rows=generator.spec.get("rows") if generator and not source else None,
    )
    return manifest


def check_columns(source: Source, columns: Sequence[str]) -> None:
    """Raise DataError unless the CSV header of `source` has all `columns`."""
    first = source.folder.read(source.name, _HEADER_LIMIT).split(b"\n", 1)[0]
    try:
        header = next(csv.reader(io.StringIO(first.decode("utf-8-sig").rstrip("\r"))), [])
    except (UnicodeDecodeError, csv.Error):
        raise DataError(
            f"the first line of {source.name} is not a CSV header in UTF-8",
            next_step="deliver comma-separated UTF-8 text with a header",
        ) from None
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(
            f"{source.name} has no column {', '.join(missing)}",
            next_step=f"deliver a CSV file whose header has {', '.join(columns)}",
        )

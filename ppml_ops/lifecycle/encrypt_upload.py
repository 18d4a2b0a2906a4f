"""encrypt_upload (owner): the day's plaintext becomes a version of the sealed data set. Reuses what fits.

A data-set version is (data set, partition, spec digest): the same input again is verified, not sealed again.
"""

import csv
import io
import shutil
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from ppml_ops.canonical import canonical_json, sha256_hex
from ppml_ops.datasets.manifest import Manifest, ManifestHead, Producer, TableSchema
from ppml_ops.datasets.seal import Source, find_sources, seal_sources
from ppml_ops.datasets.store import VersionTakenError
from ppml_ops.datasets.topology import checksum
from ppml_ops.datasets.unseal import check_version
from ppml_ops.errors import DataError
from ppml_ops.files import private_dir
from ppml_ops.keys.service import key_service_for, new_data_key
from ppml_ops.lifecycle.data_keys import open_data_key
from ppml_ops.lifecycle.generate_key import key_of
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts
from ppml_ops.workloads.generator import Generator

_HEADER_LIMIT = 1 << 20


def encrypt_upload(
    run: Run,
    facts: Facts,
    *,
    dataset: str,
    table: str,
    columns: Sequence[str],
    key_service: str,
    source: str | None,
    generator: Generator | None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Manifest:
    """Seal `source` (a file, folder or URL of CSV), or else what `generator` makes, as `<dataset>/<table>/`.

    Args:
        columns: names that the header of each CSV file must have.
        progress: called with plaintext bytes done since the last call.

    Raises:
        DataError: no input, an empty file, or a missing column; nothing was published.
        IntegrityError: an existing version of this input is damaged.
    """
    if source:
        sources = find_sources(source)
        for one in sources:
            check_columns(one, columns)
        files = [checksum(one.folder, one.name)._asdict() | {"path": one.name} for one in sources]
        manifest = _seal_or_reuse(
            run, dataset, table, columns, key_service, {"files": files}, sources, progress
        )
    elif generator:
        manifest = _generate(run, dataset, table, columns, key_service, generator, progress)
    else:
        raise DataError("the run has no input", next_step="give the URL of the input")
    facts.update(
        dataset=dataset,
        version=manifest.version,
        manifest_digest=manifest.digest,
        parts=len(manifest.parts),
        sealed_bytes=sum(part.length for part in manifest.parts),
        reused=manifest.producer.run != run.key,
        key=manifest.wraps[0].key,
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


def _generate(
    run: Run,
    dataset: str,
    table: str,
    columns: Sequence[str],
    key_service: str,
    generator: Generator,
    progress: Callable[[int], None],
) -> Manifest:
    """Plaintext exists only between generating and sealing, also when either fails."""
    spec = {"generator": generator.spec}
    existing = _existing(run, dataset, table, spec)
    if existing:
        return existing
    folder = private_dir(run.plaintext / "input")
    try:
        path = folder / f"{table}.csv"
        generator.write(path)
        sources = find_sources(str(path))
        return _seal_or_reuse(run, dataset, table, columns, key_service, spec, sources, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _spec_digest(dataset: str, table: str, spec: dict[str, Any]) -> str:
    return sha256_hex(canonical_json({"dataset": dataset, "table": table, **spec}))


def _existing(run: Run, dataset: str, table: str, spec: dict[str, Any]) -> Manifest | None:
    """The newest version if it was made from the same input, verified with its key."""
    store = run.dataset(dataset)
    latest = store.latest()
    if latest is None or latest.producer.spec != _spec_digest(dataset, table, spec):
        return None
    check_version(store, latest, open_data_key(run.home, latest))
    return latest


def _seal_or_reuse(
    run: Run,
    dataset: str,
    table: str,
    columns: Sequence[str],
    key_service: str,
    spec: dict[str, Any],
    sources: Sequence[Source],
    progress: Callable[[int], None],
) -> Manifest:
    """Seal `sources`, unless the newest version is made of them; also when another run was faster."""
    while True:
        existing = _existing(run, dataset, table, spec)
        if existing:
            return existing
        try:
            return _seal(run, dataset, table, columns, key_service, spec, sources, progress)
        except VersionTakenError:
            continue


def _seal(
    run: Run,
    dataset: str,
    table: str,
    columns: Sequence[str],
    key_service: str,
    spec: dict[str, Any],
    sources: Sequence[Source],
    progress: Callable[[int], None],
) -> Manifest:
    store = run.dataset(dataset)
    latest = store.latest()
    data_key = new_data_key()
    service = key_service_for(key_service, home=run.home)
    head = ManifestHead(
        dataset=dataset,
        data_key_id=uuid.uuid4().hex,
        schema=TableSchema(format="csv", header=True, columns=tuple(columns)),
        partition={"date": run.day.isoformat()},
        wraps=(service.wrap(key_of(key_service, dataset), data_key, dataset),),
        previous=latest.digest if latest else None,
        producer=Producer(run=run.key, spec=_spec_digest(dataset, table, spec)),
        trust_domain=str(run.records.facts("preflight")["trust_domain"]),
    )
    version = latest.version + 1 if latest else 1
    return seal_sources(sources, store, head, version, data_key, table=table, progress=progress)

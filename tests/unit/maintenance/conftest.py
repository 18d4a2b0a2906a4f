"""A state folder with sealed data sets under `local:` keys."""

import uuid
from datetime import date
from pathlib import Path

import pytest

from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.identity import partition_folder
from ppml_ops.datasets.manifest import Manifest, ManifestHead, Producer
from ppml_ops.datasets.seal import find_sources, seal_sources
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.files import private_dir
from ppml_ops.keys.local import LocalKeyService
from ppml_ops.keys.model import KeyRef, WrappedKey
from ppml_ops.keys.service import new_data_key
from ppml_ops.keys.wrapping import wrap_data_key

DAY = date(2026, 11, 20)


class Site:
    """One installation."""

    def __init__(self, home: Path) -> None:
        self.home = private_dir(home)
        self.storage = home / "storage"
        self.keys = LocalKeyService(home / "keys")

    def store(self, dataset: str = "sim-people", day: date = DAY) -> DatasetStore:
        return DatasetStore(Folder(self.storage / dataset / partition_folder(day)))

    def seal(
        self, dataset: str = "sim-people", day: date = DAY, text: str = "name\nAda\n", run: str = "cli",
        *, erasable: bool = True,
    ) -> Manifest:  # fmt: skip
        """A new version; without `erasable` wrapped as by a key service that keeps no secrets of wraps."""
        store, key = self.store(dataset, day), new_data_key()
        ref = self.keys.create(KeyRef.parse(f"local:{dataset}"))
        wrap = self.keys.wrap(ref, key, dataset) if erasable else self.plain_wrap(ref, key, dataset)
        latest = store.latest()
        head = ManifestHead(
            dataset=dataset,
            data_key_id=uuid.uuid4().hex,
            schema=None,
            partition={"date": day.isoformat()},
            wraps=(wrap,),
            previous=latest.digest if latest else None,
            producer=Producer(run=run, spec=""),
            trust_domain="0" * 64,
        )
        source = self.home / "source.csv"
        source.write_text(text)
        return seal_sources(find_sources(str(source)), store, head, store.next_version(), key, table="t")

    def plain_wrap(self, ref: KeyRef, key: bytes, dataset: str) -> WrappedKey:
        primary = self.keys._material(self.keys._find(ref))
        return wrap_data_key(primary, ref, key, dataset)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")

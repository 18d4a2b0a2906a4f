"""The policies of a broker: `<folder>/<dataset>.yaml`, read at every decision."""

import re
from collections.abc import Iterable
from pathlib import Path

from ppml_ops.attestation.policy import DataSetPolicy
from ppml_ops.errors import ConfigError
from ppml_ops.files import private_dir, write_private
from ppml_ops.keys.model import DATASET_PATTERN

_DATASET = re.compile(DATASET_PATTERN)


class PolicyStore:
    """One YAML file per data set; a data set without one gets no release."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_dir(folder)

    def get(self, dataset: str) -> DataSetPolicy | None:
        """The policy of a data set, None when it has none.

        Raises:
            ConfigError: the file is not a policy, or of another data set.
        """
        path = self._path(dataset)
        if not path.exists():
            return None
        return _of(dataset, DataSetPolicy.load(path))

    def select(self, datasets: Iterable[str]) -> dict[str, DataSetPolicy]:
        """The policies of those data sets that have one."""
        found = {dataset: self.get(dataset) for dataset in datasets}
        return {dataset: policy for dataset, policy in found.items() if policy is not None}

    def text(self, dataset: str) -> str:
        """The stored YAML.

        Raises:
            ConfigError: the data set has no policy.
        """
        path = self._path(dataset)
        if not path.exists():
            raise ConfigError(
                f"data set {dataset} has no policy", next_step="put one; until then nothing is released"
            )
        return path.read_text("utf-8")

    def names(self) -> list[str]:
        """Data sets with a policy, sorted."""
        return sorted(path.stem for path in self._folder.glob("*.yaml") if _DATASET.fullmatch(path.stem))

    def put(self, dataset: str, text: str) -> DataSetPolicy:
        """Store `text` as the policy of `dataset`, as it was written, comments too.

        Raises:
            ConfigError: not a policy, or of another data set; the old one stays.
        """
        path = self._path(dataset)
        policy = _of(dataset, DataSetPolicy.from_yaml(text))
        write_private(path, text.encode("utf-8"))
        return policy

    def _path(self, dataset: str) -> Path:
        if not _DATASET.fullmatch(dataset):
            raise ConfigError(
                f"{dataset[:60]!r} is not a data set id", next_step="use 1 to 40 of a-z, 0-9 and inner '-'"
            )
        return self._folder / f"{dataset}.yaml"


def _of(dataset: str, policy: DataSetPolicy) -> DataSetPolicy:
    if policy.dataset != dataset:
        raise ConfigError(
            f"the policy of {dataset} says that it is for {policy.dataset}",
            next_step="correct `dataset` in the policy",
            who="the data owner",
        )
    return policy

"""Where a run's inputs lie: in the storage of all data sets, or, sealed before by somebody else, at a URL."""

from collections.abc import Mapping

from ppml_ops.datasets.any_folder import AnyFolder
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.lifecycle.partition import with_day
from ppml_ops.lifecycle.run import Run

_SPARK_SCHEMES = {"s3": "s3a", "gs": "gs", "az": "abfs"}


def input_store(run: Run, dataset: str, in_place: Mapping[str, str]) -> DatasetStore:
    """The store of an input.

    Args:
        in_place: URLs of the inputs that are read where they lie; `{date}` in one stands for the run's day.
    """
    url = in_place.get(dataset)
    return DatasetStore(Folder(with_day(url, run.day))) if url else run.dataset(dataset)


def hadoop_uri(folder: AnyFolder) -> str:
    """The folder's URI as Hadoop names the scheme: `s3a:` where fsspec says `s3:`."""
    scheme, colon, rest = folder.uri.partition(":")
    return f"{_SPARK_SCHEMES.get(scheme, scheme)}{colon}{rest}"

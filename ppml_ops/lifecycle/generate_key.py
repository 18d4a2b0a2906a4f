"""generate_key (owner): every data set of the run has a primary key and a release policy. Get-or-create."""

from collections.abc import Sequence

from ppml_ops.datasets.identity import check_dataset_id
from ppml_ops.errors import ConfigError
from ppml_ops.keys.model import KeyRef
from ppml_ops.keys.service import key_service_for
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.policies import ensure_policy
from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.records import Facts


def key_of(key_service: str, dataset: str) -> KeyRef:
    """Reference of a data set's primary key: `broker:` and `sim-people` give `broker:sim-people`."""
    return KeyRef.parse(f"{key_service}{dataset}")


def generate_key(
    run: Run, facts: Facts, *, datasets: Sequence[str], key_service: str, purpose: str
) -> list[str]:
    """Make sure of keys and policies; returns the versioned key references. Runs again without effect.

    Raises:
        ConfigError: a data set's name does not fit the trust domain, or has no policy and can't get one.
        TransientError: the key service or the broker does not answer.
    """
    broker = broker_client(run.home, run.broker, owner=True)
    info = broker.info()
    for dataset in datasets:
        check_dataset_id(dataset)
        if dataset.startswith("sim-") != info.simulated:
            raise ConfigError(
                f"data set {dataset!r} can't be in a {'simulated' if info.simulated else 'real'} trust domain",
                next_step="names of data sets begin with 'sim-' in a simulated trust domain, and only there",
            )
        ensure_policy(run, broker, dataset, purpose)
    service = key_service_for(key_service, home=run.home, broker=run.broker)
    references = [str(service.create(key_of(key_service, dataset))) for dataset in datasets]
    facts["keys"] = references
    return references

"""One run: who asked for it, which day it is about, and where everything of it lies."""

from datetime import date
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.canonical import canonical_json
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.identity import check_dataset_id, partition_folder
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.errors import ConfigError, PpmlError
from ppml_ops.files import create_only, private_dir
from ppml_ops.keys.broker import BrokerSite
from ppml_ops.lifecycle.nodes import Nodes, nodes_of
from ppml_ops.receipts.receipt import RunIdentity
from ppml_ops.receipts.records import Records
from ppml_ops.receipts.run_key import ids_digest, run_key
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.http import PATIENCE_SECONDS
from ppml_ops.spark.profiles import Profile, load_profile


class Run(BaseModel):
    """A run of a life-cycle DAG, as `open_run` recorded it in `runs/<key>/run.json`.

    `storage` is the URL or folder of all sealed data sets; `home` the state folder of this installation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    storage: str
    dag_id: str
    run_id: str
    run_type: str
    day: date
    profile_name: str
    #: Airflow connections that the run found when it was opened, by kind; their ids only.
    connections: dict[str, str] = {}
    #: The broker, where a connection names it; never recorded, because each zone resolves it for itself.
    broker: BrokerSite | None = Field(None, exclude=True)
    #: The cluster, likewise; None is what KUBECONFIG and its like say.
    cluster: ClusterAccess | None = Field(None, exclude=True)
    #: Seconds for which a call to a cluster that is away is tried again.
    patience: float = Field(PATIENCE_SECONDS, exclude=True)

    @cached_property
    def key(self) -> str:
        """Run key: in every path, label and ticket."""
        return run_key(self.dag_id, self.run_id, self.day)

    @cached_property
    def profile(self) -> Profile:
        """The platform profile. Raises ConfigError when there is none of that name."""
        return load_profile(self.profile_name, self.home / "profiles")

    @property
    def identity(self) -> RunIdentity:
        """Who this run is, as its receipt says it; without the paths of this machine."""
        return RunIdentity(
            run_key=self.key, **self.model_dump(mode="json", exclude={"home", "storage", "connections"})
        )

    @property
    def folder(self) -> Path:
        """Records, job, ticket and receipt."""
        return self.home / "runs" / self.key

    @property
    def records(self) -> Records:
        """The stage records."""
        return Records(self.folder / "records")

    @property
    def ticket_file(self) -> Path:
        """The current job ticket, a compact JWS."""
        return self.folder / "ticket.jws"

    @property
    def job_file(self) -> Path:
        """The SparkJob that the ticket was signed for."""
        return self.folder / "job.json"

    @property
    def plaintext(self) -> Path:
        """The owner's folder of this run: generated input, opened result."""
        return self.home / "data" / self.key

    def _in(self, home: Path) -> "Run":
        """As it is when its state folder was restored or moved to `home`, with the data sets in it."""
        if self.home == home:
            return self
        storage = Path(self.storage)
        if storage.is_relative_to(self.home):
            storage = home / storage.relative_to(self.home)
            return self.model_copy(update={"home": home, "storage": str(storage)})
        return self.model_copy(update={"home": home})

    def dataset(self, dataset: str) -> DatasetStore:
        """This day's partition of a data set. Raises ConfigError for a name that is not a data set id."""
        return DatasetStore(
            Folder(self.storage).at(f"{check_dataset_id(dataset)}/{partition_folder(self.day)}")
        )

    @cached_property
    def nodes(self) -> Nodes:
        """The nodes of this run and their folders."""
        return nodes_of(self)

    @cached_property
    def cluster_api(self) -> Cluster:
        """The cluster that the profile runs in. Raises ConfigError when there is no way to it."""
        return Cluster(self.cluster, patience=self.patience)

    def close(self) -> None:
        """Close connections to nodes, if any were opened; what needs them opens them again."""
        if "nodes" in self.__dict__:
            self.nodes.close()

    def save(self) -> "Run":
        """Record the run; a second call with the same content changes nothing.

        Raises:
            ConfigError: the run exists with another day or profile, or its folder can't be written.
        """
        try:
            private_dir(self.home)
            private_dir(self.folder)
            create_only(self.folder / "run.json", canonical_json(self.model_dump(mode="json")), mode=0o600)
        except FileExistsError:
            former = load_run(self.home, self.key)
            # A backfill that reprocesses a scheduled run makes it its own: another type, the same day.
            # Storage and connections stay as they were when the run was opened first.
            free = {"storage", "run_type", "connections", "broker", "cluster", "patience"}
            if former.model_dump(exclude=free) != self.model_dump(exclude=free):
                raise ConfigError(
                    f"run {self.run_id} was opened before with other parameters",
                    next_step="trigger a new run instead of changing this one",
                ) from None
        except OSError as error:
            raise unwritable(self.folder, error) from None
        return self


def load_run(home: Path, key: str) -> Run:
    """The run recorded under `key`.

    Raises:
        ConfigError: `open_run` has not run for it.
    """
    path = home / "runs" / key / "run.json"
    try:
        return Run.model_validate_json(path.read_bytes())._in(home)
    except (FileNotFoundError, ValidationError):
        raise ConfigError(f"there is no record of run {key}", next_step="clear the task `open_run`") from None


def find_run(home: Path, dag_id: str, run_id: str) -> Run | None:
    """The run by its ids; its key ends in their digest whatever its day."""
    digest = ids_digest(dag_id, run_id)
    for folder in (home / "runs").glob(f"*-{digest}"):
        try:
            return load_run(home, folder.name)
        except ConfigError:
            continue
    return None


def unwritable(folder: Path, error: OSError) -> PpmlError:
    """The error for a folder that the state must go to and can't."""
    return ConfigError(
        f"can't write to {folder}: {error.strerror}",
        next_step="make it writable for this user, or set PPML_OPS_HOME to a folder that is",
    )

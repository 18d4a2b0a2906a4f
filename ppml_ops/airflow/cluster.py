"""Operators of the cluster DAGs: set-up step by step, a check-up, and the reaper."""

from typing import Any

from airflow.sdk import BaseOperator, Context

from ppml_ops.airflow.site import KUBERNETES, find_connections
from ppml_ops.errors import ConfigError
from ppml_ops.maintenance.reap import reapable
from ppml_ops.maintenance.retention import read_rules
from ppml_ops.settings import Settings
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.k8s.checkup import check_up
from ppml_ops.spark.k8s.setup import plan
from ppml_ops.spark.profiles import Profile, load_profile, profile_names


def cluster_profiles() -> list[str]:
    """Names of the profiles that run in a cluster."""
    folder = Settings().home / "profiles"
    return [name for name in profile_names(folder) if load_profile(name, folder).launcher == "kubernetes"]


class _ClusterOperator(BaseOperator):
    """Works in the orchestrator zone: nothing in a cluster needs what the owner has."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("queue", "orchestrator")
        super().__init__(**kwargs)

    @staticmethod
    def profile(context: Context) -> Profile:
        """The one that was asked for."""
        return load_profile(str(context["params"]["profile"]), Settings().home / "profiles")

    @staticmethod
    def cluster() -> Cluster:
        """By the connection, or by what KUBECONFIG and its like say."""
        conn_id = find_connections().get(KUBERNETES)
        access: ClusterAccess | None = None
        if conn_id:
            from ppml_ops.airflow.hooks.cluster import cluster_access

            access = cluster_access(conn_id, Settings().home)
        return Cluster(access)


class SetUp(_ClusterOperator):
    """One step of set-up; with the parameter `dry_run` it only logs what would change."""

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def execute(self, context: Context) -> None:
        """See `ppml_ops.spark.k8s.setup`."""
        step = next(one for one in plan(self.cluster(), self.profile(context)) if one.name == self.step)
        dry = bool(context["params"].get("dry_run"))
        said = step.diff() if dry else step.apply()
        for line in said.splitlines() if dry else said.split("; "):
            self.log.info("%s", line)
        if not said:
            self.log.info("Nothing to change")


class CheckUp(_ClusterOperator):
    """Fail when a run of the profile would lack something in the cluster."""

    def execute(self, context: Context) -> None:
        """See `ppml_ops.spark.k8s.checkup`."""
        faults = []
        for check in check_up(self.cluster(), self.profile(context)):
            word = {True: "ok", False: "fault", None: "note"}[check.ok]
            self.log.info("%s: %s: %s %s", word, check.name, check.seen, check.remedy)
            if check.ok is False:
                faults.append(check)
        if faults and not context["params"].get("dry_run"):
            raise ConfigError(
                f"{len(faults)} faults; the first: {faults[0].name}: {faults[0].seen}",
                next_step=faults[0].remedy or "see the log of this task",
            )


class Reap(_ClusterOperator):
    """Delete what runs that are over left in the namespaces of all profiles; one log line for each object."""

    def execute(self, context: Context) -> None:
        """See `ppml_ops.maintenance.reap`."""
        home = Settings().home
        dry = bool(context["params"].get("dry_run"))
        cluster, hours = self.cluster(), read_rules(home).leftovers_hours
        profiles = [load_profile(name, home / "profiles") for name in cluster_profiles()]
        for namespace in sorted({profile.platform.namespace for profile in profiles}):
            found = list(reapable(cluster, namespace, home, hours=hours))
            for one in found:
                word = "would delete" if dry else "deleted" if one.remove() else "left"
                self.log.info("%s %s: %s", word, one.kind, one.path)
            self.log.info("%d leftovers in namespace %s", len(found), namespace)

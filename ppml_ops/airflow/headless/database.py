"""The metadata database of a headless Airflow, and the DAG in it."""

from airflow.sdk import DAG

from ppml_ops.errors import ConfigError


def ensure_database() -> None:
    """Create or upgrade the tables when they are absent or old; a current database is left alone."""
    from airflow.utils.db import check_migrations, initdb
    from sqlalchemy.exc import SQLAlchemyError

    try:
        check_migrations(0)  # type: ignore[no-untyped-call]
    except (TimeoutError, SQLAlchemyError):
        initdb()


def refuse_beside_a_scheduler() -> None:
    """A scheduler on this database would run the tasks of a headless run as well.

    Raises:
        ConfigError: one is alive.
    """
    if scheduler_is_alive():
        raise ConfigError(
            "an Airflow scheduler runs on this state folder, and two drivers would run every task twice",
            next_step="trigger the DAG in its web UI, or end that Airflow first",
        )


def scheduler_is_alive() -> bool:
    """A scheduler sent its heartbeat to this database less than half a minute ago."""
    from airflow.jobs.job import most_recent_job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    job = most_recent_job(SchedulerJobRunner.job_type)
    return job is not None and job.is_alive()


def load_dag(dag_id: str) -> DAG:
    """Parse the DAG folder, write what it holds to the database, and return one DAG of it.

    Raises:
        ConfigError: the DAG does not exist, or its file does not import.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()  # type: ignore[no-untyped-call]
    manager.sync_bundles_to_db()
    errors: dict[str, str] = {}
    known: set[str] = set()
    for bundle in manager.get_all_dag_bundles():
        if not bundle.is_initialized:
            bundle.initialize()
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        errors |= bag.import_errors
        known |= set(bag.dags)
        if dag_id in bag.dags:
            sync_bag_to_db(bag, bundle.name, bundle.version)
            dag: DAG = bag.dags[dag_id]
            return dag
    if errors:
        file, text = next(iter(errors.items()))
        raise ConfigError(
            f"DAG {dag_id} is not there, and {file} does not import: {text.strip().splitlines()[-1]}",
            next_step="correct that file",
            who="the author of the DAG",
        )
    raise ConfigError(
        f"there is no DAG {dag_id}", next_step=f"use one of: {', '.join(sorted(known)) or 'none were found'}"
    )

"""Operators of the maintenance DAG; each works on the state folder of the worker that it runs on."""

import time
from typing import Any

from airflow.sdk import BaseOperator, Context

from ppml_ops.airflow.site import storage_in_use
from ppml_ops.errors import IntegrityError
from ppml_ops.maintenance.clean import removals
from ppml_ops.maintenance.drill import drill_all, keys_at_hand
from ppml_ops.maintenance.places import data_places, storages, storages_with_results
from ppml_ops.maintenance.retention import read_rules
from ppml_ops.settings import Settings


class _Maintenance(BaseOperator):
    """Works in the owner zone: what it removes or unwraps is the owner's."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("retries", 0)
        kwargs.setdefault("queue", "owner")
        super().__init__(**kwargs)


class Clean(_Maintenance):
    """Remove what `retention.yaml` lets go; with the parameter `dry_run` only log it."""

    def execute(self, context: Context) -> None:
        """See `ppml_ops.maintenance.clean`."""
        settings = Settings()
        dry = bool(context["params"].get("dry_run"))
        folders = storages(settings.home, storage_in_use())
        found = list(removals(settings.home, folders, read_rules(settings.home), now=time.time()))
        gone = 0
        for one in found:
            removed = not dry and one.remove()
            gone += removed
            word = "removed" if removed else "would remove" if dry and one.act else "left"
            self.log.info("%s %s: %s", word, one.kind, one.path)
        self.log.info("%d of %d things are gone", gone, len(found))


class KeyDrill(_Maintenance):
    """Fail unless every sealed version can be opened with the keys at hand."""

    def execute(self, context: Context) -> None:
        """See `ppml_ops.maintenance.drill`."""
        home = Settings().home
        folders, expected = data_places(home, storage_in_use()), storages_with_results(home)
        tried = drill_all(home, folders, keys_at_hand(home), expected=expected)
        lost = [one for one in tried if one.why]
        for one in lost:
            self.log.error("%s version %d can't be opened: %s", one.path, one.version, one.why)
        if lost:
            raise IntegrityError(
                f"{len(lost)} of {len(tried)} sealed versions can't be opened with the keys at hand",
                next_step="restore the keys; `ppml-ops keys drill --backup` tells which backup has them",
            )
        self.log.info("All %d sealed versions can be opened", len(tried))

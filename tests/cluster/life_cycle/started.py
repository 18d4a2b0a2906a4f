"""A run whose submit goes on in a thread, so that a test can break things meanwhile."""

import threading
import time
from collections.abc import Callable
from typing import Any

from ppml_ops.lifecycle.generations import generations
from ppml_ops.spark.k8s.names import ROLE, driver_name
from tests.support.cluster_world import World
from tests.support.life_cycle import LifeCycle

STARTING = "Spark 4"
EXECUTORS = "executor 2 added"


class Started:
    """`submit` of a run.

    Args:
        application: gives the test time; see `slow`.
    """

    def __init__(self, world: World, life: LifeCycle) -> None:
        self.world, self.life = world, life
        self._error: BaseException | None = None
        life.to("attest")
        self._thread = threading.Thread(target=self._submit, daemon=True)
        self._thread.start()

    def _submit(self) -> None:
        try:
            self.life.to("submit")
        except BaseException as error:  # noqa: BLE001  # handed to the test
            self._error = error

    def until(self, line: str) -> "Started":
        """Wait for a life-cycle line that begins so."""
        return self.wait_for(lambda: any(one.startswith(line) for one in self.life.lines))

    def wait_for(self, condition: Callable[[], object]) -> "Started":
        """Wait until `condition` holds; fails when the job ends before."""
        while not condition():
            assert self._thread.is_alive(), f"submit has ended: {self._error}, {self.life.lines}"
            time.sleep(0.5)
        return self

    def end(self) -> None:
        """Wait for the end of submit; raises what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    @property
    def generation(self) -> str:
        """Of the newest try."""
        files = sorted((self.life.run.folder / "generations").glob("*.json"), key=lambda path: int(path.stem))
        return f"{self.life.run.key}-g{files[-1].stem}"

    def driver(self) -> dict[str, Any]:
        """The driver's pod."""
        found = self.world.api.get("Pod", self.world.namespace, driver_name(self.generation))
        assert found is not None
        return dict(found)

    def executors(self) -> list[dict[str, Any]]:
        """The executors' pods."""
        labels = {"ppml-ops.io/run": self.life.run.key, ROLE: "executor"}
        return [dict(one) for one in self.world.api.find("Pod", self.world.namespace, labels)]

    def kill(self, pod: dict[str, Any]) -> None:
        """Delete a pod without grace, as an eviction or a lost node does."""
        self.world.api.delete("Pod", self.world.namespace, pod["metadata"]["name"], grace=0)


def proven(world: World, life: LifeCycle, generations_made: int = 1) -> None:
    """The rest of the run goes well, and nothing of it is left."""
    assert life.finish().proven
    assert len(generations(life.run)) == generations_made
    assert world.left(life.run.key) == []

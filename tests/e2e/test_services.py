"""Services that die while a run needs them come back."""

import threading
from pathlib import Path

import pytest

from ppml_ops.cli.services import ensure_services, services_kept
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.spark.platform_client import PlatformClient, platform_socket
from tests.support.processes import BROKER, PLATFORM, kill, running, wait_for

pytestmark = pytest.mark.e2e


def test_both_services_are_started_again_and_only_once(home: Path) -> None:
    domain = broker_client(home).info().trust_domain
    with services_kept(home):
        for what in (BROKER, PLATFORM):
            (before,) = running(home, what)
            assert kill(home, what) == 1
            wait_for(
                lambda what=what, before=before: running(home, what) not in ([], [before]), "a new one", 60
            )
        ensure_services(home)
        PlatformClient(platform_socket(home)).status()
        assert broker_client(home).info().trust_domain == domain
        assert [len(running(home, what)) for what in (BROKER, PLATFORM)] == [1, 1]
    assert "services" not in {thread.name for thread in threading.enumerate()}

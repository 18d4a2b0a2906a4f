"""One fresh broker per test."""

from pathlib import Path

import pytest

from .builders import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A broker with an owner, a policy for sim-people and a primary key."""
    return World(tmp_path / "broker")

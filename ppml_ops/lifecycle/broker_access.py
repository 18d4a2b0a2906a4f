"""The key broker of this installation: its endpoint, and clients for it with and without the owner's token."""

from pathlib import Path

from ppml_ops.broker.client import BrokerClient
from ppml_ops.keys.broker import read_endpoint, read_token


def broker_endpoint(home: Path) -> tuple[str, Path]:
    """URL and CA file. Raises TransientError, naming the command, when no broker runs."""
    return read_endpoint(home / "broker")


def broker_client(home: Path, *, owner: bool = False) -> BrokerClient:
    """A client for the broker whose endpoint file lies in `home`.

    Args:
        owner: also present the owner's token, for calls that need it; only owner-zone stages may.

    Raises:
        TransientError: no broker runs.
        ConfigError: the owner's token does not resolve here.
    """
    url, ca = broker_endpoint(home)
    return BrokerClient(url, ca, token=read_token(home / "broker" / "owner.token") if owner else None)

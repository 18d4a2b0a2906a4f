"""The key broker of this installation: its endpoint, and clients for it with and without the owner's token."""

from pathlib import Path

from ppml_ops.broker.client import BrokerClient
from ppml_ops.keys.broker import BrokerSite, read_endpoint, read_token


def broker_endpoint(home: Path, site: BrokerSite | None = None) -> tuple[str, Path]:
    """URL and CA file. Raises TransientError, naming the command, when no broker runs."""
    return (site.url, site.ca) if site else read_endpoint(home / "broker")


def broker_client(home: Path, site: BrokerSite | None = None, *, owner: bool = False) -> BrokerClient:
    """A client for the broker whose endpoint file lies in `home`, or for the one that `site` names.

    Args:
        owner: also present the owner's token, for calls that need it; only owner-zone stages may.

    Raises:
        TransientError: no broker runs.
        ConfigError: the owner's token does not resolve here.
    """
    url, ca = broker_endpoint(home, site)
    if not owner:
        return BrokerClient(url, ca)
    return BrokerClient(
        url, ca, token=site.owner_token() if site else read_token(home / "broker" / "owner.token")
    )

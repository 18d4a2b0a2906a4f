"""Evidence of a node for the attest stage: a TD on it measures the job, quotes once, and is ended."""

from pathlib import Path

from ppml_ops.attestation.evidence import Evidence, provider_for
from ppml_ops.errors import ConfigError
from ppml_ops.spark.platform_client import PlatformClient

JOB_FILE = "job.json"
PLATFORM_SOCKET = "platform.sock"


def quote_of_probe(
    device: str, report_data: bytes, *, name: str, folder: Path, code: str, platform: Path
) -> Evidence:
    """Evidence with these 64 bytes.

    Args:
        device: `socket`, `tsm` or `none`, as in a profile.
        name: of the simulated TD.
        folder: holds job.json and `code`, the application (a file or a folder).
        platform: folder of the simulated platform's socket.

    Raises:
        PpmlError: device or platform refused or is away.
    """
    if device == "tsm":
        return provider_for({"kind": "tsm", "root": "/"}).quote(report_data)
    if device == "none":
        return provider_for({"kind": "none"}).quote(report_data)
    if device != "socket":
        raise ConfigError(f"unknown evidence device {device!r}"[:80], next_step="correct the profile")
    client = PlatformClient(platform / PLATFORM_SOCKET)
    td = client.create_td(name, folder / JOB_FILE, folder / code)
    try:
        return provider_for({"kind": "socket", "path": td.socket}).quote(report_data)
    finally:
        client.destroy_td(td.td)

"""Asks a simulated TEE platform to make and destroy TDs: one JSON line each way on a Unix socket."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ppml_ops.attestation.unix_socket import request_line
from ppml_ops.errors import ConfigError, PpmlError, TransientError

MAX_LINE_BYTES = 64 * 1024
TIMEOUT_SECONDS = 30.0


def platform_socket(home: Path) -> Path:
    """Where the simulated platform of a state folder listens."""
    return home / "sim" / "platform.sock"


def destroy_recorded_td(platform: Path, folder: Path) -> None:
    """End the TD that the generation in `folder` had (`td.json`), if it is still there."""
    path = folder / "td.json"
    with suppress(OSError, ValueError, KeyError, PpmlError):  # gone already, or the platform and its TDs are
        PlatformClient(platform).destroy_td(json.loads(path.read_bytes())["td"])


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore")

    ok: bool
    error: str | None = None


class PlatformStatus(_Reply):
    """What the platform says about itself."""

    trust_domain: str
    simulated: bool


class _Made(_Reply):
    td: str
    socket: str = Field(pattern=r"^[a-z0-9]+(/[a-z0-9]+)*\.sock$")
    """Relative to the folder of the platform's socket, which may lie elsewhere for the platform."""


class TrustDomainVm(_Reply):
    """A TD that the platform made."""

    td: str
    socket: str


_Answer = TypeVar("_Answer", bound=_Reply)


class PlatformClient:
    """The platform socket at `path`."""

    def __init__(self, path: Path, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._path = path
        self._timeout = timeout

    def status(self) -> PlatformStatus:
        """Ask for the trust domain.

        Raises:
            TransientError: the platform does not answer.
            ConfigError: it refuses, or answers something else.
        """
        return self._ask({"op": "status"}, PlatformStatus)

    def create_td(self, generation: str, job: Path, code: Path) -> TrustDomainVm:
        """The TD of a generation, made if there is none; only descendants of this process may use it.

        Raises:
            TransientError, ConfigError: see `status`.
        """
        request = {"op": "create_td", "generation": generation, "job": str(job), "code": str(code)}
        made = self._ask(request, _Made)
        return TrustDomainVm(ok=True, td=made.td, socket=str(self._path.parent / made.socket))

    def destroy_td(self, td: str) -> None:
        """End a TD; its socket goes away.

        Raises:
            TransientError, ConfigError: see `status`.
        """
        self._ask({"op": "destroy_td", "td": td}, _Reply)

    def _ask(self, request: dict[str, str], kind: type[_Answer]) -> _Answer:
        try:
            line = request_line(
                self._path, json.dumps(request).encode(), limit=MAX_LINE_BYTES, timeout=self._timeout
            )
            reply = _Reply.model_validate_json(line)
            if not reply.ok:
                raise _refused(reply.error or "no reason given")
            return kind.model_validate_json(line)
        except OSError as error:
            raise TransientError(
                f"the TEE platform at {self._path} does not answer ({error.strerror or type(error).__name__})",
                next_step="start it: ppml-ops services start",
            ) from None
        except (ValidationError, ValueError):
            raise _refused("its answer can't be understood") from None


def _refused(why: str) -> PpmlError:
    shown = "".join(c if c.isprintable() else " " for c in why)[:300]
    return ConfigError(
        f"the TEE platform refused: {shown}",
        next_step="look at the log of the platform service",
        who="the operator",
    )

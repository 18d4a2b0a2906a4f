"""The simulated machine: one PKI per installation, and one TD per generation while the service runs."""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ppml_ops.canonical import b64d, b64e, canonical_json
from ppml_ops.errors import ConfigError, DeniedError
from ppml_ops.files import create_only, private_dir, write_private
from ppml_sim.collateral import make_collateral
from ppml_sim.container import measure_as_seen
from ppml_sim.peers import Peer, descends_from
from ppml_sim.pki import SEED_BYTES, make_pki
from ppml_sim.server import LineServer
from ppml_sim.td import Td, reference_values

REFRESH_SECONDS = 3600
MAX_TDS = 1024


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Status(_Request):
    op: Literal["status"]


class _CreateTd(_Request):
    op: Literal["create_td"]
    generation: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    job: str = Field(min_length=1, max_length=4096)
    code: str = Field(min_length=1, max_length=4096)


class _DestroyTd(_Request):
    op: Literal["destroy_td"]
    td: str


class _Quote(_Request):
    op: Literal["quote"]
    report_data: str = Field(pattern=r"^[A-Za-z0-9+/]{86}==$")


_REQUEST: TypeAdapter[_Status | _CreateTd | _DestroyTd] = TypeAdapter(
    Annotated[_Status | _CreateTd | _DestroyTd, Field(discriminator="op")]
)


class Platform:
    """State under `<home>/sim`. Open it under the instance lock only (see `service`).

    Args:
        home: state folder of the installation.
        sockets: folder of the sockets; default: beside the state.
        seed_file: seed of a platform that is made of several services; default: one of its own.
        everyone: serve all users, as pods need it; else only the one who runs the service.
        clock: for tests.
    """

    def __init__(
        self,
        home: Path,
        *,
        sockets: Path | None = None,
        seed_file: Path | None = None,
        everyone: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dir = private_dir(home / "sim")
        self._sockets = sockets or self._dir
        self._everyone = everyone
        if everyone and self._sockets == self._dir:
            raise ConfigError(
                "other users may not look into the home folder", next_step="give a folder for the sockets"
            )
        self._tds_dir = _socket_folder(self._sockets, everyone=everyone)
        self._clock = clock
        self._lock = Lock()
        self._tds: dict[str, tuple[Td, LineServer]] = {}
        self._issued = 0.0
        self._pki = make_pki(_read_seed(seed_file) if seed_file else _own_seed(self._dir / "seed"))
        self.trust_domain = hashlib.sha256(self._pki.root_der).hexdigest()
        for stale in (self._sockets / "platform.sock", *self._tds_dir.glob("*.sock")):
            stale.unlink(missing_ok=True)
        write_private(self._dir / "root.der", self._pki.root_der)
        write_private(self._dir / "reference_values.json", canonical_json(reference_values()))
        self.refresh()
        self.socket = self._sockets / "platform.sock"
        self._server = LineServer(self.socket, self._answer, everyone=everyone)

    def refresh(self) -> None:
        """End TDs that nobody is inside any more; issue collateral anew long before it expires."""
        with self._lock:
            self._reap()
        now = self._clock()
        if not 0 <= now - self._issued < REFRESH_SECONDS:
            write_private(self._dir / "collateral.json", make_collateral(self._pki, int(now)).to_json())
            self._issued = now

    def close(self) -> None:
        """Remove all sockets; the TDs are gone with them."""
        self._server.close()
        with self._lock:
            servers = [server for _, server in self._tds.values()]
            self._tds.clear()
        for server in servers:
            server.close()

    def _answer(self, line: bytes, peer: Peer) -> Mapping[str, object]:
        match _REQUEST.validate_json(line):
            case _CreateTd() as request:
                return self._create(request, peer)
            case _DestroyTd() as request:
                return self._destroy(request, peer)
            case _:
                return {"trust_domain": self.trust_domain, "simulated": True}

    def _create(self, request: _CreateTd, peer: Peer) -> Mapping[str, object]:
        if peer.process is None:
            raise _denied("the asking process has ended")
        job, code = Path(request.job), Path(request.code)
        if not (job.is_absolute() and code.is_absolute()):
            raise ConfigError("job and code need absolute paths", next_step="resolve them before asking")
        td_id = hashlib.sha256(request.generation.encode()).hexdigest()[:16]
        path = self._tds_dir / f"{td_id}.sock"
        reply = {"td": td_id, "socket": path.relative_to(self._sockets).as_posix()}
        events = measure_as_seen(peer.process, job, code)
        with self._lock:
            self._reap()
            old = self._tds.get(td_id)
            if old is not None:
                if not descends_from(peer.process, old[0].owner):
                    raise _denied("this generation's TD belongs to another process that still runs")
                if (old[0].job, old[0].code, old[0].events) != (job, code, events):
                    raise _denied("this generation's TD runs another job, or its code changed")
                return reply
            if len(self._tds) >= MAX_TDS:
                raise ConfigError(f"the platform runs {MAX_TDS} TDs already", next_step="destroy old ones")
            td = Td(td_id, request.generation, job, code, peer.process, events)
            self._tds[td_id] = (td, LineServer(path, self._quoting(td), everyone=self._everyone))
        return reply

    def _reap(self) -> None:
        """A TD ends with the process that created it; nobody is inside any more."""
        for td_id in [td_id for td_id, (td, _) in self._tds.items() if not td.owner.alive]:
            _, server = self._tds.pop(td_id)
            server.close()

    def _destroy(self, request: _DestroyTd, peer: Peer) -> Mapping[str, object]:
        with self._lock:
            found = self._tds.get(request.td)
            if found is None:
                return {}
            if found[0].owner.alive and not descends_from(peer.process, found[0].owner):
                raise _denied("this TD belongs to another process that still runs")
            del self._tds[request.td]
            found[1].close()
        return {}

    def _quoting(self, td: Td) -> Callable[[bytes, Peer], Mapping[str, object]]:
        def answer(line: bytes, peer: Peer) -> Mapping[str, object]:
            request = _Quote.model_validate_json(line)
            quote, log = td.quote(self._pki, b64d(request.report_data), peer.process)
            return {"quote": b64e(quote), "event_log": b64e(log)}

        return answer


def _socket_folder(sockets: Path, *, everyone: bool) -> Path:
    """The folder for the sockets of TDs, below the one for the platform's own."""
    if not everyone:
        return private_dir(private_dir(sockets) / "td")
    for folder in (sockets, sockets / "td"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    return sockets / "td"


def _own_seed(path: Path) -> bytes:
    """The installation's seed, made once; everything simulated follows from it."""
    with suppress(FileExistsError):
        create_only(path, secrets.token_bytes(SEED_BYTES), mode=0o600)
    return _read_seed(path)


def _read_seed(path: Path) -> bytes:
    try:
        seed = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the seed file {path} can't be read ({error.strerror})", next_step="give the seed of a home"
        ) from None
    if len(seed) != SEED_BYTES:
        raise ConfigError(
            f"the simulator's seed file {path} is damaged", next_step="remove the home's sim folder"
        )
    return seed


def _denied(what: str) -> DeniedError:
    return DeniedError(
        what, who="the operator of the job", next_step="use a new generation, or end that process"
    )

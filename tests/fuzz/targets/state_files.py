"""Small files of a state folder that others may have damaged: agent configuration, records, keys, runs."""

from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from ppml_ops.errors import PpmlError
from ppml_ops.keys.broker import read_endpoint
from ppml_ops.keys.local import LocalKeyService
from ppml_ops.keys.model import KeyRef, WrappedKey
from ppml_ops.lifecycle.run import load_run
from ppml_ops.maintenance.drill import keys_in
from ppml_ops.receipts.records import Records
from ppml_ops.spark.agent import check_measurement, read_config

SHM = Path("/dev/shm")
FOLDER = Path(mkdtemp(prefix="ppml-fuzz-", dir=SHM if SHM.is_dir() else None))
REF = KeyRef.parse("local:people?version=1")


def _put(name: str, data: bytes) -> Path:
    path = FOLDER / name
    for parent in reversed(path.relative_to(FOLDER).parents[:-1]):
        (FOLDER / parent).mkdir(exist_ok=True, mode=0o700)
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def run(data: bytes) -> None:
    """Read the bytes as each of them."""
    with suppress(PpmlError):
        config = read_config(_put("agent.json", data))
        config.placement("/f")
        check_measurement(config, data.decode("latin-1"))
    _put("records/submit.json", data)
    with suppress(PpmlError):
        Records(FOLDER / "records").all()
    _put("runs/r/run.json", data)
    with suppress(PpmlError):
        load_run(FOLDER, "r")
    _put("keys/people/1.json", data)
    with suppress(PpmlError):
        LocalKeyService(FOLDER / "keys").wrap(REF, bytes(32), "people")
    with suppress(PpmlError):
        wrapped = WrappedKey(key=str(REF), wrapped="A" * 54 + "==")
        LocalKeyService(FOLDER / "keys").unwrap(wrapped, "people")
    _put("broker/endpoint.json", data)
    with suppress(PpmlError):
        read_endpoint(FOLDER / "broker")
    _put("broker/domain.json", data)
    _put("broker/keystore/.master.key", bytes(32))
    with suppress(PpmlError):
        keys_in(FOLDER)
    with suppress(PpmlError):
        KeyRef.parse(data.decode("latin-1"))

"""Keys and a name, searched for during and after whole runs: only the owner's plaintext holds them.

Two runs of the real command line: one that succeeds and prints the name (SimpleQuery shows its first rows), and
one that fails because the name stands in a cell where a number belongs.
"""

import base64
import json
import secrets
import sqlite3
import string
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ppml_ops.broker.state import _MASTER_INFO
from ppml_ops.canonical import b64d
from ppml_ops.keys.local import _master_kek
from ppml_ops.keys.service import key_service_for
from ppml_ops.keys.store import StoredKey
from ppml_ops.keys.wrapping import aes_key_unwrap, derive
from ppml_ops.lifecycle.backends import backend_of
from ppml_ops.lifecycle.broker_access import broker_client
from ppml_ops.lifecycle.generations import generations
from ppml_ops.lifecycle.logs import read_logs
from ppml_ops.lifecycle.run import Run, find_run
from ppml_ops.lifecycle.tickets import read_ticket
from ppml_ops.receipts.receipt import read_receipt, receipt_files
from tests.e2e.conftest import Cli
from tests.support.leaks import Canary, Leak, Watch, in_bytes, in_file, in_files, in_processes
from tests.support.life_cycle import PEOPLE, RESULT
from tests.support.people import AWKWARD, answer, read_rows, write_people

pytestmark = [pytest.mark.e2e, pytest.mark.java, pytest.mark.airflow]

DAY, OTHER_DAY = "2024-04-01", "2024-04-02"


def _word() -> str:
    """A name that nothing else in the world is called."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(16))


# -- the scanner finds what is planted ---------------------------------------------------------------------


def _written_forms(secret: bytes) -> dict[str, bytes]:
    """How software writes secrets down; made without the scanner's help."""
    found = {
        "raw": b"key=" + secret,
        "cut": b"key=" + secret[:8] + b"...",
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "UTF-16 of hex": ("key " + secret.hex()).encode("utf-16-le"),
        "UTF-16 of HEX": ("key " + secret.hex().upper()).encode("utf-16-be"),
        "repr": repr({"key": secret}).encode(),
    }
    for skip in range(3):
        plain = b"x" * skip + secret + b"yz"
        found[f"base64 after {skip}"] = base64.b64encode(plain)
        found[f"base64url after {skip}"] = base64.urlsafe_b64encode(plain).rstrip(b"=")
        found[f"UTF-16 of base64 after {skip}"] = base64.b64encode(plain).decode().encode("utf-16-be")
    return found


@pytest.mark.parametrize(
    "secret",
    [secrets.token_bytes(32), b"\xff\xfb\xef" * 11, b"Ada Q. Canary, 36"],
    ids=["random key", "key full of - and _", "name"],
)
def test_the_scanner_finds_every_form_of_a_planted_secret(secret: bytes, tmp_path: Path) -> None:
    canary = [Canary("planted", secret)]
    for form, written in _written_forms(secret).items():
        path = tmp_path / "file"
        path.write_bytes(b"before " + written + b" after")
        assert in_file(path, canary), form
    path.write_bytes(secrets.token_bytes(1 << 20))
    assert in_file(path, canary) == []


def test_the_scanner_looks_everywhere_that_it_should(tmp_path: Path) -> None:
    secret = secrets.token_bytes(32)
    canary = Canary("planted", secret, allowed=(tmp_path / "owner",))
    places = ("owner/key", "storage/.hidden/part", "runs/a/records/submit.json", "large")
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    for place in places[:3]:
        (tmp_path / place).write_bytes(secret)
    # Across the border of two pieces of a large file.
    (tmp_path / "large").write_bytes(b"\0" * ((8 << 20) - 4) + secret)
    with sqlite3.connect(tmp_path / "airflow.db") as database:
        database.execute("create table xcom (value text)")
        database.execute("insert into xcom values (?)", (json.dumps({"k": secret.hex()}),))
    found = {Path(leak.place).relative_to(tmp_path).as_posix() for leak in in_files([tmp_path], [canary])}
    assert found == {*places[1:], "airflow.db"}


def test_the_scanner_looks_into_processes(tmp_path: Path) -> None:
    in_argument, in_environment = secrets.token_bytes(32), _word().encode()
    script = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, base64.b64encode(in_argument).decode()],
        env={"SECRET": in_environment.decode()},
        stdin=subprocess.PIPE,
    ) as process:
        canaries = [Canary("argument", in_argument), Canary("environment", in_environment)]
        with Watch([tmp_path], lambda: canaries, seconds=0.05) as watch:
            time.sleep(1)
        process.communicate(b"")
    assert {leak.canary for leak in watch.leaks} == {"argument", "environment"}
    assert in_processes(canaries) == []


# -- canaries of an installation ---------------------------------------------------------------------------


def installation_canaries(home: Path) -> list[Canary]:
    """The long-lived secrets: primary keys, and those that sign and wrap. Only their own files hold them."""
    broker, owner = home / "broker", home / "owner"
    master_file = broker / "keystore" / ".master.key"
    found = [Canary("broker's master key", master_file.read_bytes(), (master_file,))]
    for name, path in (
        ("owner's signing key", owner / "ticket-signing.jwk"),
        ("broker's signing key", broker / "signing-key.json"),
        ("broker's token key", broker / "token-key.json"),
        ("key of receipts", home / "receipts" / "signing-key.json"),
    ):
        if not path.exists():  # made by the first receipt
            continue
        private = json.loads(path.read_bytes())["d"]
        found.append(Canary(name, base64.urlsafe_b64decode(private + "=" * (-len(private) % 4)), (path,)))
    for path in broker.glob("keystore/*/wraps/*.json"):
        secret = bytes.fromhex(json.loads(path.read_bytes())["secret"])
        found.append(Canary(f"secret of wrap {path.stem[:8]}", secret, (path,)))
    token = broker / "owner.token"
    found.append(Canary("owner's token", token.read_bytes().strip(), (token,)))
    domain = bytes.fromhex(json.loads((broker / "domain.json").read_bytes())["trust_domain"])
    master = derive(master_file.read_bytes(), _MASTER_INFO + domain)
    found.append(Canary("broker's wrapping key", master))
    for dataset in (PEOPLE, RESULT):
        path = broker / "keystore" / dataset / "1.json"
        if not path.exists():
            continue
        stored = StoredKey.model_validate_json(path.read_bytes())
        assert stored.key is not None
        key = aes_key_unwrap(_master_kek(master, stored.name, stored.version), b64d(stored.key))
        found.append(Canary(f"primary key {stored.name}", key))
    return found


def data_key_canaries(run: Run | None) -> list[Canary]:
    """The data keys of all tickets of a run, as far as it has come."""
    found = []
    for path in run.folder.glob("tickets/*.jws") if run else ():
        for binding in read_ticket(run, path.stem).datasets:
            wrap = binding.wraps[0]
            key = key_service_for(wrap.ref, home=run.home).unwrap(wrap, binding.dataset)
            found.append(Canary(f"data key of {binding.dataset}", key))
    return found


class Story:
    """One whole run of the command line, watched.

    Args:
        home: state folder.
        name: the run id.
        words: what in the input nobody may see.
    """

    def __init__(self, home: Path, name: str, words: list[str]) -> None:
        self.home = home
        self.name = name
        self.words = [Canary(f"word {n}", word.encode(), (home / "data",)) for n, word in enumerate(words)]
        self.leaks: set[Leak] = set()
        self._tickets = -1
        self._known: list[Canary] = []

    def canaries(self) -> list[Canary]:
        """All that may not be seen now; looked up again when there is another ticket."""
        run = find_run(self.home, "simple_query", self.name)
        tickets = len(list(run.folder.glob("tickets/*.jws"))) if run else 0
        if tickets != self._tickets and (self.home / "owner" / "ticket-signing.jwk").exists():
            self._known = installation_canaries(self.home) + data_key_canaries(run)
            self._tickets = tickets
        return [*self._known, *self.words]

    def tell(self, go: Callable[[], subprocess.CompletedProcess[str]]) -> subprocess.CompletedProcess[str]:
        """Run, watch, and search once more afterwards."""
        with Watch([self.home], self.canaries) as watch:
            done = go()
        self.watch = watch
        self.leaks = set(watch.leaks) | set(in_files([self.home], self.canaries()))
        self.leaks |= set(in_processes(self.canaries()))
        return done

    @property
    def run(self) -> Run:
        found = find_run(self.home, "simple_query", self.name)
        assert found is not None
        return found


def test_a_run_that_succeeds_shows_keys_and_names_to_nobody(home: Path, command: Cli, tmp_path: Path) -> None:
    """The demo itself, over a file by URL."""
    name = _word()
    file = write_people(tmp_path / "people.csv", [(name, 30, "Developer"), *AWKWARD])
    story = Story(home, "canary-success", [name])
    done = story.tell(
        lambda: command(
            "run", "simple_query", "--run-id", story.name, "--date", DAY, "--json",
            "-c", f"input_url={file.as_uri()}",
        )
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert summary["succeeded"] is True
    assert read_rows(Path(summary["result"]).rglob("*.csv")) == answer(read_rows([file]))
    _nothing_leaked(story)
    assert name not in done.stderr
    # The owner finds what was printed in the sealed log.
    assert any(name.encode() in piece for _generation, piece in read_logs(story.run))
    # Every release is on record, and says what was measured.
    submitted = story.run.records.facts("submit")
    releases = broker_client(home).releases(submitted["ticket"])
    assert releases
    assert submitted["releases"] == [record.digest for record in releases]
    assert {record.body.get("simulated") for record in releases} == {True}
    assert {record.body.get("job_digest") for record in releases} == {submitted["job_digest"]}


def test_a_run_that_fails_on_a_cell_shows_it_to_nobody(home: Path, command: Cli, tmp_path: Path) -> None:
    """An age that is no number stops the job; the message says so without the cell."""
    name, cell = _word(), _word()
    file = write_people(tmp_path / "people.csv", [("Ada", 36, "Developer")] * 40 + [(name, cell, "Developer")])
    story = Story(home, "canary-failure", [name, cell])
    done = story.tell(
        lambda: command(
            "run", "simple_query", "--run-id", story.name, "-c", f"input_url={file}", "--date", OTHER_DAY
        )
    )
    assert done.returncode == 1
    assert "submit: job 'simple-query'" in done.stdout
    assert "for the author of the workload: read what it printed" in done.stdout
    _nothing_leaked(story)
    assert in_bytes((done.stdout + done.stderr).encode(), story.canaries(), "terminal") == []
    assert cell.encode() in b"".join(piece for _generation, piece in read_logs(story.run))
    assert [backend_of(story.run).alive(one) for one in generations(story.run)] == [False]
    failure = story.run.records.all()["submit"].failure
    assert failure is not None
    assert failure.kind == "WorkloadError"
    receipt = read_receipt(receipt_files(story.run.folder)[-1])
    assert not receipt.proven
    result = story.run.dataset("sim-simple-query")
    assert result.versions() == []
    assert {path.split("/")[0] for path in result.folder.files()} <= {"_logs", "_reserved"}
    assert not list(story.run.plaintext.rglob("*.csv"))


def _nothing_leaked(story: Story) -> None:
    """No leak, and the search was a real one."""
    assert story.leaks == set()
    known = {canary.name for canary in story.canaries()}
    assert {"data key of sim-people", "data key of sim-simple-query", "primary key sim-people"} <= known
    assert story.watch.rounds > 2
    seen = {path.relative_to(story.home).as_posix() for path in story.watch.files_seen}
    for part in ("airflow/airflow.db", "nodes/", "storage/", "/records/", "work/conf/", "airflow/logs/"):
        assert any(part in path for path in seen), f"nothing was searched in {part}"

"""One attested key release: what every start of a Spark driver or executor in a TEE waits for."""

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ppml_ops.attestation.evidence import provider_for
from ppml_ops.cli.services import ensure_services, stop_services
from ppml_ops.spark.platform_client import PlatformClient
from ppml_ops.workloads import path_of
from tests.benchmarks.measure import percentile, seconds_of
from tests.benchmarks.report import Options, Report, Row, Table
from tests.integration.spark.installation import Site

ROUNDS = 50
_WARM_UP = 5
_ROWS_SEALED = b"name,age,job\nAda,36,Developer\n"
_GENERATION = "bench-release-g1"


def run(options: Options) -> Report:
    """Measure; raises PpmlError when a service does not start or refuses."""
    rounds = options.rounds or ROUNDS
    with tempfile.TemporaryDirectory(prefix="ppml-bench-") as folder, services(Path(folder)) as site:
        times = _measure(site, rounds)
    return Report(
        name="release",
        title="One attested key release",
        measured=(
            "`BrokerClient.release` for a ticket with one data set to read and one to write: TLS connection "
            "to a broker in its own process, challenge, quote by the simulated TD (a process of its own, "
            "which hashes runner and code for each quote), appraisal, policies, signed audit record synced "
            f"to disk, encrypted key bundle. {rounds} releases one after another, {_WARM_UP} before them not "
            "counted. Beside it the parts that can be had alone: the quote, and a plain call of the broker "
            "over a new TLS connection."
        ),
        reading=(
            "Milliseconds. The quote is simulated: a real TD's quote takes its own time (the kernel and the "
            "quoting enclave), everything else is the same code. Start-up of the agent's Python process is "
            "not in it."
        ),
        tables=(_table(times, rounds),),
    )


@contextmanager
def services(home: Path) -> Iterator[Site]:
    """Broker and platform as processes of their own, as `ppml-ops run` starts them."""
    home.chmod(0o700)
    try:
        ensure_services(home)
        yield Site(home)
    finally:
        stop_services(home)


def _measure(site: Site, rounds: int) -> dict[str, list[float]]:
    plain = site.home / "people.csv"
    plain.write_bytes(_ROWS_SEALED)
    site.seal("bench-people", plain, "people")
    code = path_of("simple_query.py")
    job = site.job(code, [], reads=["bench-people"], write="bench-result")
    placement = site.placement(job, code, _GENERATION, activations=rounds + _WARM_UP)
    job_file = Path(placement.folder) / "job.json"
    job_file.write_bytes(job.canonical())
    platform = PlatformClient(site.home / "sim" / "platform.sock")
    td = platform.create_td(_GENERATION, job_file, code)
    device = provider_for({"kind": "socket", "path": td.socket})
    client, ticket = site.broker(), Path(placement.ticket).read_text(encoding="ascii")
    work: dict[str, Callable[[], object]] = {
        "attested release": lambda: client.release(ticket, device, _GENERATION, "tdx"),
        "of it: quote of the simulated TD": lambda: device.quote(os.urandom(64)),
        "for comparison: one call over a new TLS connection": client.info,
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + _WARM_UP):
        for name, call in work.items():
            seconds = seconds_of(call)
            if number >= _WARM_UP:
                times[name].append(seconds)
    return times


def _table(times: dict[str, list[float]], rounds: int) -> Table:
    def row(name: str) -> Row:
        values = [seconds * 1000 for seconds in times[name]]
        return name, *(
            f"{value:.1f}"
            for value in (statistics.median(values), percentile(values, 95), min(values), max(values))
        )

    columns = ("what", "median ms", "p95 ms", "smallest", "largest")
    return Table(f"{rounds} times", columns, tuple(row(name) for name in times))

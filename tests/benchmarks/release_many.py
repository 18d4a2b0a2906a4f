"""Attested key releases to many clients at once: what one broker meets when the jobs of a cluster start."""

import statistics
import tempfile
import threading
import time
from pathlib import Path

from ppml_ops.attestation.evidence import provider_for
from ppml_ops.spark.platform_client import PlatformClient
from ppml_ops.workloads import path_of
from tests.benchmarks.measure import percentile
from tests.benchmarks.release import services
from tests.benchmarks.report import Options, Report, Row, Table
from tests.integration.spark.installation import Site

CLIENTS = (1, 10, 100)
_EACH = 3
_GENERATION = "bench-release-g1"


def run(options: Options) -> Report:
    """Measure; raises PpmlError when a service does not start or refuses a client."""
    each = options.rounds or _EACH
    with tempfile.TemporaryDirectory(prefix="ppml-bench-") as folder, services(Path(folder)) as site:
        rows = [_row(site, clients, each) for clients in CLIENTS]
    columns = ("clients at once", "releases", "a second", "median ms", "p95 ms", "largest")
    return Report(
        name="release_many",
        title="Attested key releases to many clients at once",
        measured=(
            f"As above, by 1, 10 and 100 clients at once, each {each} times without a pause. The clients are "
            "threads of one process, so they share the two cores with broker and simulated platform, which "
            "makes a quote for each release."
        ),
        reading="All releases succeeded. With clients on other machines the broker has the cores for itself.",
        tables=(Table("one broker process", columns, tuple(rows)),),
    )


def _row(site: Site, clients: int, each: int) -> Row:
    times, seconds = _measure(site, clients, each)
    values = [one * 1000 for one in times]
    return (
        str(clients),
        str(len(times)),
        f"{len(times) / seconds:.1f}",
        f"{statistics.median(values):.0f}",
        f"{percentile(values, 95):.0f}",
        f"{max(values):.0f}",
    )


def _measure(site: Site, clients: int, each: int) -> tuple[list[float], float]:
    """Seconds of each release, and of all together."""
    plain = site.home / f"people-{clients}.csv"
    plain.write_bytes(b"name,age,job\nAda,36,Developer\n")
    site.seal(f"bench-many-{clients}", plain, "people")
    code = path_of("simple_query.py")
    job = site.job(code, [], reads=[f"bench-many-{clients}"], write="bench-result")
    generation = f"{_GENERATION}{clients}"
    placement = site.placement(job, code, generation, activations=clients * each)
    job_file = Path(placement.folder) / "job.json"
    job_file.write_bytes(job.canonical())
    td = PlatformClient(site.home / "sim" / "platform.sock").create_td(generation, job_file, code)
    ticket = Path(placement.ticket).read_text(encoding="ascii")
    times: list[float] = []
    failures: list[Exception] = []
    begin = threading.Barrier(clients + 1)

    def client() -> None:
        device, broker = provider_for({"kind": "socket", "path": td.socket}), site.broker()
        begin.wait()
        try:
            for _ in range(each):
                started = time.perf_counter()
                broker.release(ticket, device, generation, "tdx")
                times.append(time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001  # raised again in the main thread
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return times, time.perf_counter() - started

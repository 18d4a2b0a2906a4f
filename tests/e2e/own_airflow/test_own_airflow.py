"""docs/install-airflow.md, done by a machine."""

import subprocess

import pytest

from tests.e2e.conftest import PROJECT
from tests.e2e.own_airflow.conftest import PARTS, Site, receipt_of
from tests.support.airflow_rest import healthy, wait_until

pytestmark = [
    pytest.mark.e2e, pytest.mark.java, pytest.mark.airflow, pytest.mark.long, pytest.mark.own_airflow,
    pytest.mark.timeout(900),
]  # fmt: skip
DAG = "simple_query"


def test_a_run_in_an_airflow_of_ones_own_is_proven(site: Site) -> None:
    rest = site.rest()
    wait_until(lambda: rest.dag(DAG), 120, "the DAG is parsed")
    assert rest.call("GET", "/api/v2/importErrors")["total_entries"] == 0
    rest.pause(DAG, False)
    run_id = rest.trigger(DAG, {"rows": 50, "date": "2023-05-01"})["dag_run_id"]
    assert rest.ended(DAG, run_id) == "success", rest.states(DAG, run_id)
    page = rest.proof(DAG, run_id)
    assert ">PROVEN<" in page
    assert "SIMULATED" in page
    assert "Zones not isolated" in page
    (folder,) = (site.base / "home/ppml/runs").glob("simple-query-20230501-*")
    receipt = receipt_of(site, folder.name)
    assert receipt["standing"] == "PROVEN"
    assert receipt["receipt"]["zones_isolated"] is False


def test_the_jar_lies_where_the_user_may_write(site: Site) -> None:
    """site-packages is root's when the tests run as root; else the user's own environment takes it."""
    name = "ppml-ops-spark-*.jar"
    places = [site.base / "home/.cache/ppml-ops", site.venv / "share/ppml-ops"]
    found = [jar for place in places for jar in place.glob(name)]
    assert len(found) == 1
    if site.user:
        assert found[0].parent == places[0]


def test_the_tasks_of_both_zones_go_to_their_queues(site: Site) -> None:
    """The LocalExecutor serves both; with another executor workers subscribe to one of them."""
    rest = site.rest()
    run_id = rest.runs(DAG)[-1]["dag_run_id"]
    queues = {name: one["queue"] for name, one in rest.tasks(DAG, run_id).items()}
    assert queues["decrypt"] == queues["generate_key"] == "owner"
    assert queues["submit"] == queues["receipt"] == "orchestrator"


def test_our_connection_types_and_the_plugin_are_there(site: Site) -> None:
    rest = site.rest()
    types = {hook["connection_type"] for hook in rest.call("GET", "/ui/connections/hook_meta")}
    assert {"ppml_broker", "ppml_key_service", "ppml_storage"} <= types
    names = {plugin["name"] for plugin in rest.call("GET", "/api/v2/plugins")["plugins"]}
    assert "ppml_ops" in names


def test_a_headless_run_needs_no_checkout(site: Site) -> None:
    """In another state folder: this command has a database of its own."""
    done = site.command(
        "ppml-ops", "run", DAG, "--rows", "50", seconds=280, PPML_OPS_HOME=f"{site.base}/home/other"
    )
    site.command("ppml-ops", "services", "stop", PPML_OPS_HOME=f"{site.base}/home/other")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "proven by its receipt" in done.stdout


def test_after_uninstalling_the_airflow_works_without_us(site: Site) -> None:
    site.stop()
    assert site.command("ppml-ops", "services", "stop").returncode == 0
    for name in (
        "dags/simple_query.py",
        "dags/workloads.py",
        "dags/maintenance.py",
        "dags/cluster.py",
        "plugins/ppml_ops_plugin.py",
    ):
        (site.base / "home" / name).unlink()
    uv = str(PROJECT / ".venv/bin/uv")
    subprocess.run(
        [uv, "pip", "uninstall", "-q", "--python", site.venv / "bin/python", "ppml-ops", "ppml-sim"], check=True
    )
    del site.environment["AIRFLOW__CORE__XCOM_BACKEND"]
    site.start(*PARTS)
    wait_until(lambda: healthy(site.url), 180, "Airflow is healthy without us")
    rest = site.rest()
    assert rest.call("GET", "/api/v2/importErrors")["total_entries"] == 0
    providers = {one["package_name"] for one in rest.call("GET", "/api/v2/providers?limit=100")["providers"]}
    assert "ppml-ops" not in providers

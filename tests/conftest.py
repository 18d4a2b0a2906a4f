"""Rules for all tests: no state outside temporary folders, and no silent skip of Java tests in CI."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Times are measured in tests/benchmarks; on a busy machine a deadline here only makes tests fail at random.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

# Airflow reads its settings when it is imported, by whichever test comes first.
_AIRFLOW = tempfile.TemporaryDirectory(prefix="ppml-airflow-")
os.environ |= {
    "AIRFLOW_HOME": _AIRFLOW.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent.parent / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(Path(__file__).parent.parent / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__XCOM_BACKEND": "ppml_ops.airflow.xcom.GuardedXCom",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "PPML_OPS_RETRY_DELAY": "0",
}


@pytest.fixture(autouse=True, scope="session")
def _state_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test that forgets to name a state folder must not find the user's."""
    before = os.environ.get("PPML_OPS_HOME")
    os.environ["PPML_OPS_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    os.environ.pop("PPML_OPS_HOME")
    if before is not None:
        os.environ["PPML_OPS_HOME"] = before


@pytest.fixture(scope="session")
def project() -> Path:
    """Root of the checkout."""
    return Path(__file__).parent.parent


_skipped_java: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember Java tests that were skipped."""
    if report.skipped and "java" in report.keywords:
        _skipped_java.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With PPML_OPS_REQUIRE_JAVA=1 a skipped Java test fails the run."""
    if _skipped_java and os.environ.get("PPML_OPS_REQUIRE_JAVA") == "1":
        print(f"\nJava tests were skipped: {', '.join(_skipped_java)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

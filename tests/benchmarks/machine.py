"""Facts without which a figure means nothing: the machine, its software, and how busy it was."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ppml_ops.errors import ConfigError
from ppml_ops.spark.jvm.build import find_java


def machine_facts() -> str:
    """One line; call it before the measurement, because it holds the load average."""
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    facts = (
        f"{len(os.sched_getaffinity(0))} cores ({_cpu_model()})",
        f"{_memory_gib():.0f} GiB",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        _java(),
        f"Spark {version('pyspark')}",
        f"Airflow {version('apache-airflow')}",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"load average before: {loads}",
    )
    return "; ".join(facts) + "."


def _cpu_model() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _java() -> str:
    try:
        text = subprocess.run(
            [find_java(), "-version"], capture_output=True, text=True, timeout=60, check=False
        ).stderr
    except ConfigError:
        return "no Java"
    found = re.search(r'version "([^"]+)"', text)
    return f"Java {found[1] if found else 'of an unknown version'}"

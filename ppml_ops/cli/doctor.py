"""`ppml-ops doctor`: what works here, what does not, and what to do about it."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.table import Table

from ppml_ops.cli.cluster import ContextName, Kubeconfig, show_checks
from ppml_ops.cli.options import AsJson, console, home, plain, show_json
from ppml_ops.errors import ConfigError, PpmlError


class Finding(NamedTuple):
    """One thing looked at: fine or not, what was seen, what to do."""

    part: str
    name: str
    ok: bool
    seen: str
    remedy: str


def doctor(
    part: Annotated[str, typer.Argument(help="all, tee, spark, or cluster.")] = "all",
    profile: Annotated[str | None, typer.Option("--profile", help="For cluster: which profile's.")] = None,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, or a cluster; exit 1 when something that runs need is missing."""
    if part == "cluster":
        if profile is None:
            raise ConfigError(
                "which profile's cluster is not said", next_step="ppml-ops doctor cluster --profile tdx-vm"
            )
        if not show_checks(profile, kubeconfig, context, as_json=as_json):
            raise typer.Exit(1)
        return
    findings = [finding for finding in look(home()) if part in ("all", finding.part)]
    if as_json:
        show_json([finding._asdict() for finding in findings])
    else:
        table = Table("part", "what", "", "seen", "to do")
        for finding in findings:
            mark = "[green]ok[/]" if finding.ok else "[red]missing[/]"
            table.add_row(finding.part, finding.name, mark, plain(finding.seen), plain(finding.remedy))
        console().print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def look(state: Path) -> list[Finding]:
    """All findings; nothing is changed."""
    from ppml_ops.lifecycle.broker_access import broker_client
    from ppml_ops.spark.jvm.build import find_java, jar_path
    from ppml_ops.spark.platform_client import PlatformClient, platform_socket

    platform = PlatformClient(platform_socket(state))
    free = shutil.disk_usage(state).free
    airflow = importlib.util.find_spec("airflow") is not None
    device = _tee_device()
    return [
        Finding("base", "state folder", os.access(state, os.W_OK), str(state), ""),
        Finding(
            "base", "disk", free > 1 << 30, f"{free >> 30} GiB free", "" if free > 1 << 30 else "free some"
        ),
        Finding("base", "Airflow", airflow, "", "" if airflow else "pip install 'ppml-ops[airflow]'"),
        _try("spark", "Java", lambda: str(find_java())),
        _try("spark", "Spark jar", lambda: jar_path().name),
        _try("tee", "simulated platform", lambda: _domain(platform.status().trust_domain)),
        _try("tee", "key broker", lambda: _domain(broker_client(state).info().trust_domain)),
        Finding(
            "tee", "hardware", True, device or "none: runs on this machine are SIMULATED or UNATTESTED", ""
        ),
    ]


def _domain(trust_domain: str) -> str:
    return f"trust domain {trust_domain[:16]}…"


def _tee_device() -> str | None:
    places = {
        "TDX (configfs-tsm)": "/sys/kernel/config/tsm/report",
        "TDX guest": "/dev/tdx_guest",
        "SGX (Gramine)": "/dev/attestation/quote",
        "SGX": "/dev/sgx_enclave",
    }
    found = [name for name, place in places.items() if Path(place).exists()]
    return ", ".join(found) or None


def _try(part: str, name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(part, name, True, look(), "")
    except PpmlError as error:
        return Finding(part, name, False, error.what, error.next_step)

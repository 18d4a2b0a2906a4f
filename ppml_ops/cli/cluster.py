"""`ppml-ops cluster`: make a Kubernetes cluster ready for a profile, take that away, tidy up after runs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ppml_ops.cli.options import AsJson, console, home, plain, show_json
from ppml_ops.spark.k8s.access import ClusterAccess
from ppml_ops.spark.k8s.api import Cluster
from ppml_ops.spark.profiles import Profile, load_profile

app = typer.Typer(help="A Kubernetes cluster for runs: set up, tear down, tidy.", no_args_is_help=True)

ProfileName = Annotated[str, typer.Option("--profile", help="Profile with `launcher: kubernetes`.")]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Default: KUBECONFIG, ~/.kube/config, or the pod's own account."),
]
ContextName = Annotated[str | None, typer.Option("--context", help="Context in the kubeconfig.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


@app.command()
def setup(
    profile: ProfileName,
    dry_run: DryRun = False,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    as_json: AsJson = False,
) -> None:
    """Make namespace, accounts, rights, volume and node folders; again without effect."""
    from ppml_ops.spark.k8s.setup import plan

    cluster, wanted = cluster_of(kubeconfig, context), profile_of(profile)
    done = []
    for step in plan(cluster, wanted):
        if not as_json:
            console().print(f"[bold]{step.name}[/]", plain(step.title))
        said = step.diff() if dry_run else step.apply()
        done.append({"step": step.name, "dry_run": dry_run, "said": said})
        if not as_json:
            _show(said or "nothing to change", whole=dry_run)
    if as_json:
        show_json(done)


@app.command()
def teardown(
    profile: ProfileName,
    data: Annotated[bool, typer.Option("--data", help="Remove the folders on the nodes too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it is only said what for.")] = False,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
) -> None:
    """Remove what set-up made. Sealed data on the nodes stays, unless --data."""
    from ppml_ops.spark.k8s.setup import teardown as tear_down

    wanted = profile_of(profile)
    if not yes:
        also = " and all folders of runs on the nodes" if data else ""
        console().print(
            f"would remove accounts, rights and volume in namespace {wanted.platform.namespace}, "
            f"the namespace if nothing else is in it{also}; do it with --yes",
            soft_wrap=True,
        )
        return
    for line in tear_down(cluster_of(kubeconfig, context), wanted, data=data):
        console().print(plain(line), soft_wrap=True)


@app.command()
def reap(
    profile: ProfileName,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it; without, it is only listed.")] = False,
    hours: Annotated[
        float | None, typer.Option("--hours", help="Default: `leftovers_hours` of retention.yaml.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: ContextName = None,
    as_json: AsJson = False,
) -> None:
    """List, or with --yes delete, what runs that are over left in the cluster."""
    from ppml_ops.cli.clean import show_removals
    from ppml_ops.maintenance.reap import reapable
    from ppml_ops.maintenance.retention import read_rules

    state, platform = home(), profile_of(profile).platform
    limit = read_rules(state).leftovers_hours if hours is None else hours
    found = reapable(cluster_of(kubeconfig, context), platform.namespace, state, hours=limit)
    show_removals(list(found), yes=yes, as_json=as_json)


def profile_of(name: str) -> Profile:
    """The profile. Raises ConfigError where there is none, or none of a cluster."""
    found = load_profile(name, home() / "profiles")
    _ = found.platform
    return found


def cluster_of(kubeconfig: Path | None, context: str | None) -> Cluster:
    """The cluster, with less patience than a run has: somebody waits. Raises ConfigError."""
    return Cluster(ClusterAccess(kubeconfig=kubeconfig, context=context), patience=20.0)


def show_checks(profile: str, kubeconfig: Path | None, context: str | None, *, as_json: bool) -> bool:
    """`ppml-ops doctor cluster`: print the checks; whether none found a fault."""
    from ppml_ops.spark.k8s.checkup import check_up

    checks = list(check_up(cluster_of(kubeconfig, context), profile_of(profile)))
    if as_json:
        show_json([check._asdict() for check in checks])
    else:
        table = Table("what", "", "seen", "to do")
        marks = {True: "[green]ok[/]", False: "[red]fault[/]", None: "[yellow]note[/]"}
        for check in checks:
            table.add_row(check.name, marks[check.ok], plain(check.seen), plain(check.remedy))
        console().print(table)
    return all(check.ok is not False for check in checks)


def _show(said: str, *, whole: bool) -> None:
    for line in said.splitlines() if whole else said.split("; "):
        console().print("  ", plain(line), soft_wrap=True)

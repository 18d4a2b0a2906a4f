"""`ppml-ops receipt`: show a run's receipt, verify receipts anywhere, and make the anchors for that."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ppml_ops.cli.options import AsJson, console, home, plain, show_json
from ppml_ops.errors import ConfigError
from ppml_ops.receipts.anchors import Anchors, by_thumbprint
from ppml_ops.receipts.receipt import Receipt, receipt_files
from ppml_ops.receipts.records import Records
from ppml_ops.receipts.standing import Standing, Word, receipt_standing, standing_of
from ppml_ops.receipts.verify import Verified, verify_chain

app = typer.Typer(help="Receipts of runs.", no_args_is_help=True)
_COLOUR = {Word.PROVEN: "bold green", Word.STALE: "bold black on yellow"}
_SHOWN_FACTS = (
    "rows",
    "parts",
    "generation",
    "application",
    "allow",
    "matches_expected",
    "stays_in",
    "ended_processes",
)


@app.callback()
def group() -> None:
    """A receipt says what a run did, stage by stage, and whether its records prove it."""


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Run key, or the path of a receipt.")], as_json: AsJson = False
) -> None:
    """Show the newest receipt of a run; exit 1 when the run is not proven."""
    standing = _standing(run)
    if as_json:
        show_json(
            {
                "standing": standing.word,
                "why": list(standing.why),
                "digest": standing.receipt.digest if standing.receipt else None,
                "receipt": standing.receipt.model_dump(mode="json") if standing.receipt else None,
            }
        )
    else:
        _print(console(), standing)
    if not standing.proven:
        raise typer.Exit(1)


@app.command()
def verify(
    files: Annotated[
        list[Path], typer.Argument(help="Receipt of a run; with former ones before it, oldest first.")
    ],
    trust: Annotated[Path, typer.Option("--trust", help="Anchors of `ppml-ops receipt anchors`.")],
    as_json: AsJson = False,
) -> None:
    """Verify a receipt offline: exit 0 proven, 1 authentic but not proven, 76 not authentic."""
    anchors = Anchors.read(trust)
    try:
        verified = verify_chain([path.read_bytes() for path in files], anchors)
    except OSError as error:
        raise ConfigError(f"{error.filename} can't be read: {error.strerror}", next_step="check it") from None
    if as_json:
        show_json(
            {
                "authentic": True,
                "proven": verified.proven,
                "problems": list(verified.problems),
                "simulated": verified.simulated,
                "run": verified.receipt.run.model_dump(mode="json"),
                "number": verified.receipt.number,
                "chain_is_whole": verified.chain_is_whole,
                "digest": verified.receipt.digest,
            }
        )
    else:
        _print_verified(console(), verified)
    if not verified.proven:
        raise typer.Exit(1)


@app.command()
def anchors() -> None:
    """Print the trust anchors of this installation as JSON; hand them over by a way that you trust."""
    from ppml_ops.broker.jose import public_jwk, public_key
    from ppml_ops.broker.tickets import owner_key
    from ppml_ops.lifecycle.broker_access import broker_client
    from ppml_ops.receipts.signer import known_signers

    info = broker_client(home()).info()
    signers = known_signers(home())
    owners = {public_key(jwk).thumbprint(): jwk for jwk in info.owners}
    path = home() / "owner" / "ticket-signing.jwk"
    if path.exists():  # it may not be registered with the broker yet
        owners[owner_key(path).thumbprint()] = public_jwk(owner_key(path))
    found = Anchors(
        trust_domain=info.trust_domain,
        simulated=info.simulated,
        broker_keys=(info.broker_key,),
        owner_keys=tuple(owners.values()),
        receipt_signers=tuple(public_jwk(key) for key in signers.values()),
    )
    show_json(found.document())
    lines = Console(stderr=True, highlight=False)
    lines.print("Thumbprints, to be compared by another way:")
    for name in ("broker_keys", "owner_keys", "receipt_signers"):
        for thumbprint in by_thumbprint(getattr(found, name)):
            lines.print(f"  {name:<16} {thumbprint}")


def _standing(run: str) -> Standing:
    path = Path(run)
    if path.is_file():
        return receipt_standing(home(), path)
    folder = home() / "runs" / path.name
    if not receipt_files(folder):
        raise ConfigError(
            f"NO RECEIPT for {run}: nothing proves what that run did",
            next_step="check the run key (a folder of runs/ in the state folder), or clear its receipt task",
        )
    return standing_of(home(), folder, Records(folder / "records").all())


def _print(out: Console, standing: Standing) -> None:
    out.print(f"[{_COLOUR.get(standing.word, 'bold red')}]{standing.word}[/]")
    for reason in standing.why:
        out.print(f"  {reason}", markup=False, style="red", soft_wrap=True)
    if standing.receipt is None:
        return
    receipt = standing.receipt
    _print_marks(out, receipt)
    signed = "" if standing.word is Word.BAD_SIGNATURE else f"signed by {receipt.signer}"
    _print_run(out, receipt, signed)
    _print_evidence(out, receipt)
    _print_stages(out, receipt)


def _print_verified(out: Console, verified: Verified) -> None:
    receipt = verified.receipt
    out.print("[bold green]PROVEN[/]" if verified.proven else "[bold red]NOT PROVEN[/]", "and authentic")
    for problem in verified.problems:
        out.print(f"  {problem}", markup=False, style="red", soft_wrap=True)
    _print_marks(out, receipt, simulated=verified.simulated)
    _print_run(out, receipt, f"signed by {receipt.signer}, one of the anchors")
    checked = len(receipt.evidence.releases)
    out.print(f"  owner       {'signed the ticket' if receipt.evidence.ticket else 'signed no ticket'}")
    out.print(f"  broker      signed {checked} release record{'' if checked == 1 else 's'}")
    if not verified.chain_is_whole:
        out.print(
            f"  chain       not checked: receipts 1 to {receipt.number - verified.former - 1} are not given"
        )


def _print_marks(out: Console, receipt: Receipt, *, simulated: bool = False) -> None:
    facts = next((record.facts for record in receipt.records if record.stage == "attest"), {})
    if simulated or facts.get("simulated"):
        out.print("SIMULATED  The TEE was simulated: it protected nothing.", style="bold black on yellow")
    if facts.get("attested") is False:
        out.print("UNATTESTED  No TEE was used.", style="bold black on yellow")
    if not receipt.zones_isolated:
        out.print("zones not isolated: owner and orchestrator stages ran as the same user")


def _print_run(out: Console, receipt: Receipt, signed: str) -> None:
    run = receipt.run
    lines = {
        "run": run.run_key,
        "of": f"{run.dag_id} {run.run_id} ({run.run_type}), data of {run.day}, profile {run.profile_name}",
        "receipt": f"{receipt.number}, digest {receipt.digest}",
        "signature": signed or "does not verify",
    }
    for name, value in lines.items():
        out.print(f"  {name:<11} {value}", markup=False, soft_wrap=True)


def _print_evidence(out: Console, receipt: Receipt) -> None:
    for record in receipt.evidence.releases:
        body = record.body
        keys = [str(one.get("key")) for one in body.get("datasets") or [] if isinstance(one, dict)]
        text = f"release {body.get('activation')} to {body.get('generation')}: {', '.join(keys)}"
        out.print(f"  {'broker':<11}", plain(text), soft_wrap=True)
    if receipt.evidence.releases:
        measured = receipt.evidence.releases[-1].body.get("measurements")
        policies = receipt.evidence.releases[-1].body.get("policies")
        for title, found in (("measured", measured), ("policy", policies)):
            for name, value in found.items() if isinstance(found, dict) else ():
                out.print(f"  {title:<11}", plain(f"{name:<14} {_short(value)}"))
    for manifest in receipt.evidence.manifests:
        parts = manifest.get("parts")
        count = len(parts) if isinstance(parts, list) else 0
        text = f"{manifest.get('dataset')} version {manifest.get('version')}, {count} parts"
        out.print(f"  {'manifest':<11}", plain(text))


def _print_stages(out: Console, receipt: Receipt) -> None:
    table = Table("stage", "outcome", "seconds", "facts", box=None, header_style="bold", pad_edge=False)
    for record in receipt.records:
        text = ", ".join(
            f"{name}={_short(record.facts[name])}"
            for name in _SHOWN_FACTS
            if record.facts.get(name) is not None
        )
        if record.failure:
            text = record.failure.what
        table.add_row(
            plain(record.name), record.outcome, f"{record.finished - record.started:.2f}", plain(text)
        )
    out.print()
    out.print(table)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 48 else f"{text[:32]}…"

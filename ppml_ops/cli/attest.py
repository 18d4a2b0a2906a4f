"""`ppml-ops attest appraise`: verify a quote offline and say why it is allowed or denied."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ppml_ops.cli.options import AsJson, console, show_json
from ppml_ops.errors import ConfigError, DeniedError

app = typer.Typer(help="Remote attestation.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Quotes, claims and verdicts."""


@app.command()
def appraise(
    quote: Annotated[Path, typer.Argument(help="File with a quote (binary).")],
    collateral: Annotated[Path, typer.Option(help="Collateral (JSON file).")],
    policy: Annotated[Path | None, typer.Option(help="Release policy (YAML).")] = None,
    event_log: Annotated[Path | None, typer.Option(help="Event log (JSON) that goes with the quote.")] = None,
    root: Annotated[Path | None, typer.Option(help="Attestation root (DER); default: Intel's.")] = None,
    at: Annotated[int | None, typer.Option(help="Unix time to judge at; default: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Exit 0 only for allow or, without a policy, for a quote that verifies."""
    from ppml_ops.attestation.appraise import appraise as judge
    from ppml_ops.attestation.collateral import Collateral
    from ppml_ops.attestation.evidence import Evidence
    from ppml_ops.attestation.layout import parse_layout
    from ppml_ops.attestation.policy import evaluate
    from ppml_ops.attestation.policy_model import DataSetPolicy
    from ppml_ops.attestation.trust import TrustDomain

    layout = parse_layout(_read(quote))
    domain = TrustDomain(_read(root)) if root else TrustDomain.intel()
    now = at if at is not None else int(time.time())
    evidence = Evidence(
        "tdx" if layout.tee == "tdx" else "sgx", layout.quote, _read(event_log) if event_log else None
    )
    # Offline there is no challenge to compare with: the quote's own report data is shown, not judged.
    claims = judge(
        evidence, Collateral.load(collateral), report_data=layout.report_data, now=now, domain=domain
    )
    verdict = evaluate(DataSetPolicy.load(policy), claims, ticket_facts=None, now=now) if policy else None
    if as_json:
        show_json(
            {
                "claims": claims.model_dump(mode="json"),
                "verdict": verdict.model_dump(mode="json") if verdict else None,
            }
        )
    else:
        out = console()
        if claims.simulated:
            out.print("SIMULATED: the root is not Intel's", style="bold black on yellow")
        for name, value in claims.model_dump(exclude_none=True).items():
            out.print(f"{name:<22}{value}", markup=False, soft_wrap=True)
        out.print(
            f"verdict               {verdict.explain() if verdict else 'the quote verifies'}", soft_wrap=True
        )
    if verdict and not verdict.allow:
        raise DeniedError(
            "; ".join(str(reason) for reason in verdict.reasons) or "the policy is empty",
            next_step="compare the claims above with the policy",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}", next_step="check the path") from None

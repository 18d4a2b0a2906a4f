"""The proof page of a run as HTML. Pure: a run and its standing in, text out; everything is escaped."""

from html import escape

from ppml_ops.lifecycle.run import Run
from ppml_ops.receipts.receipt import Receipt
from ppml_ops.receipts.records import StageRecord
from ppml_ops.receipts.standing import Standing, Word

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 1.5rem; max-width: 70rem; }
.mark { display: inline-block; padding: .2rem .8rem; border-radius: .3rem; font-weight: 700; color: #fff; }
.good { background: #1a7f37; } .bad { background: #c62828; } .warn { background: #b35900; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #8884; }
td.facts { font: 12px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
"""
_SHOWN_DIGITS = 16
_FACTS_SHOWN = (
    "versions",
    "version",
    "parts",
    "stays_in",
    "rows",
    "matches_expected",
    "generation",
    "ticket",
    "manifest_digest",
    "results",
    "allow",
)
_MEANS = {
    Word.PROVEN: "Every stage left a record, and records, ticket and the broker's releases agree.",
    Word.NOT_PROVEN: "",
    Word.STALE: "Stages ran again after the receipt was written.",
    Word.BAD_SIGNATURE: "Don't rely on this receipt.",
    Word.NO_RECEIPT: "Nothing proves (yet) what this run did.",
}


def proof_page(dag_id: str, run_id: str, run: Run | None, standing: Standing, live: list[StageRecord]) -> str:
    """The page for a run; `live` are its records as they are now, for when no receipt has them."""
    receipt, word = standing.receipt, standing.word
    told = receipt is not None and word in (Word.PROVEN, Word.NOT_PROVEN)
    records = list(receipt.records) if receipt and told else live
    colour = "good" if standing.proven else "bad"
    body = [f"<p><span class='mark {colour}'>{word}</span> {_MEANS[word]}</p>", *_warnings(receipt, records)]
    body += [f"<p>{escape(reason)}</p>" for reason in standing.why]
    if receipt:
        signed = "signature does not verify" if word is Word.BAD_SIGNATURE else f"signed by {receipt.signer}"
        body.append(
            f"<p>Receipt {receipt.number} <code>{receipt.digest}</code><br>{escape(signed)}, "
            f"{len(receipt.evidence.releases)} release records of the broker</p>"
        )
    if run:
        body.append(
            f"<p>Run <code>{escape(run.key)}</code>, data of {run.day}, profile {escape(run.profile_name)}</p>"
        )
    rows = "".join(_row(record) for record in records)
    body.append(f"<table><tr><th>stage<th>outcome<th>seconds<th>facts</tr>{rows}</table>")
    title = f"{escape(dag_id)} {escape(run_id)}"
    return (
        f"<!doctype html><meta charset='utf-8'><title>{title}</title><style>{_STYLE}</style>"
        f"<h2>{title}</h2>{''.join(body)}"
    )


def _warnings(receipt: Receipt | None, records: list[StageRecord]) -> list[str]:
    found = []
    facts = next((record.facts for record in records if record.stage == "attest"), {})
    if facts.get("simulated"):
        found.append(
            "<p><span class='mark warn'>SIMULATED</span> The TEE was simulated: it protected nothing.</p>"
        )
    if facts.get("attested") is False:
        found.append("<p><span class='mark warn'>UNATTESTED</span> No TEE was used.</p>")
    if receipt and not receipt.zones_isolated:
        found.append("<p>Zones not isolated: owner and orchestrator stages ran as the same user.</p>")
    return found


def _value(value: object) -> str:
    """Facts by data set as `people 8b956a72d487728c…, jobs 551cf4f5…`; digests are whole in the receipt."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    text = str(value)
    return f"{text[:_SHOWN_DIGITS]}…" if len(text) == 64 else text


def _row(record: StageRecord) -> str:
    facts = [
        f"{name}={_value(record.facts[name])}" for name in _FACTS_SHOWN if record.facts.get(name) is not None
    ]
    if record.failure:
        facts = [record.failure.what, f"{record.failure.who}: {record.failure.next_step}"]
    seconds = f"{record.finished - record.started:.2f}"
    shown = "<br>".join(escape(fact) for fact in facts)
    return f"<tr><td>{escape(record.name)}<td>{record.outcome}<td>{seconds}<td class='facts'>{shown}</tr>"

"""`ppml-ops data`: generate, seal, open, verify and show data sets, and read the sealed logs of runs."""

import sys
import uuid
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ppml_ops.cli import original
from ppml_ops.cli.options import AsJson, Key, bytes_bar, console, home, show_json
from ppml_ops.datasets.bigdl.surroundings import refuse_doubts
from ppml_ops.datasets.folder import Folder
from ppml_ops.datasets.identity import check_dataset_id
from ppml_ops.datasets.manifest import ManifestHead, Producer, TableSchema
from ppml_ops.datasets.original import format_of, streams
from ppml_ops.datasets.rewrap import rewrap_version
from ppml_ops.datasets.seal import Source, Stream, find_sources, seal_sources
from ppml_ops.datasets.store import DatasetStore
from ppml_ops.datasets.unseal import open_version, verify_version
from ppml_ops.errors import ConfigError, DataError
from ppml_ops.keys.model import KeyRef
from ppml_ops.keys.service import key_service_for, new_data_key
from ppml_ops.lifecycle.data_keys import open_data_key

app = typer.Typer(help="Data sets.", no_args_is_help=True)
Dataset = Annotated[str, typer.Argument(help="Folder or URL of a data set.")]
Version = Annotated[int | None, typer.Option("--version", min=1, help="Version; default: the newest.")]
DatasetId = Annotated[str | None, typer.Option("--dataset", help="Data set id.")]
Table_ = Annotated[str, typer.Option("--table", help="Folder inside the data set.")]
Date = Annotated[str | None, typer.Option("--date", help="Partition date, recorded in the manifest.")]
OriginalKey = Annotated[
    str | None, typer.Option("--key", help="For data of BigDL PPML: their primary key file, simple:PATH.")
]
#: Trust domain of data sealed by hand, outside any broker.
_NO_DOMAIN = "0" * 64


@app.command()
def generate(
    path: Annotated[Path, typer.Argument(help="CSV file to write.")],
    rows: Annotated[int, typer.Option(min=0, help="Rows after the header.")] = 500,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
) -> None:
    """Write seeded people (name, age, job) as CSV."""
    from ppml_ops.workloads.generate_people import generate as write

    if path.exists():
        raise ConfigError(f"{path} exists", next_step="name a new file, or remove this one")
    try:
        path.touch(mode=0o600)
        write(path, rows, seed)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError(f"can't write {path}: {error.strerror}", next_step="check the path") from None
    console().print(f"{rows:,} rows in {path}", soft_wrap=True)


class Format(StrEnum):
    """What `seal` writes."""

    sealed = "sealed"
    bigdl = "bigdl"
    pme = "pme"


class Content(StrEnum):
    """What `migrate` can convert to."""

    csv = "csv"
    parquet = "parquet"


@app.command()
def seal(
    source: Annotated[str, typer.Argument(help="File, folder or URL of plaintext.")],
    target: Annotated[str, typer.Argument(help="Folder or URL of the sealed data set.")],
    key: Key,
    dataset: DatasetId = None,
    table: Table_ = "data",
    date: Date = None,
    form: Annotated[
        Format, typer.Option("--format", help="bigdl and pme are BigDL PPML's own, with a key simple:PATH.")
    ] = Format.sealed,
) -> None:
    """Seal files as a new version of a data set, or as a new folder that BigDL PPML reads."""
    if form is not Format.sealed:
        if dataset or date:
            raise ConfigError(
                "data sets of BigDL PPML have no id and no partition",
                next_step="leave --dataset and --date out",
            )
        original.seal(source, key, target, form)
        return
    named = _checked_id(dataset)
    sources = find_sources(source)
    header = sources[0].suffix == ".csv"
    _seal_version(sources, sum(one.length for one in sources), target, key, named, table, date, header)


@app.command()
def migrate(
    source: Annotated[str, typer.Argument(help="Folder or URL of a data set of BigDL PPML.")],
    target: Annotated[str, typer.Argument(help="Folder or URL of the sealed data set.")],
    key: Key,
    input_key: Annotated[str, typer.Option(help="Primary key file of the source: simple:PATH.")],
    dataset: DatasetId = None,
    table: Table_ = "data",
    date: Date = None,
    to: Annotated[
        Content | None, typer.Option(help="Convert CSV to Parquet or back; default: as it is.")
    ] = None,
    header: Annotated[bool, typer.Option(help="Whether CSV parts begin with a header.")] = True,
) -> None:
    """Seal a data set of BigDL PPML anew, without a plaintext file between; strangers in it are an error."""
    named = _checked_id(dataset)
    found, keys = original.found_in(source, doubts=False), original.keys_for(input_key)
    refuse_doubts(found.folder, found.doubts)
    made = streams(found, keys, to or "")
    total = sum(part.length for part in found.parts)
    _seal_version(made, total, target, key, named, table, date, header and made[0].suffix == ".csv")


def _checked_id(dataset: str | None) -> str:
    if dataset is None:
        raise ConfigError("the data set has no id", next_step="give it one with --dataset, for example people")
    return check_dataset_id(dataset)


def _seal_version(
    sources: Sequence[Source | Stream],
    total: int,
    target: str,
    key: str,
    dataset: str,
    table: str,
    date: str | None,
    header: bool,
) -> None:
    """Seal `sources`, about `total` bytes, as the next version in `target`."""
    store = DatasetStore(Folder(target))
    latest = store.latest()
    if latest is not None and latest.dataset != dataset:
        raise ConfigError(f"{target} holds data set {latest.dataset}", next_step="seal into another folder")
    ref = KeyRef.parse(key)
    data_key = new_data_key()
    head = ManifestHead(
        dataset=dataset,
        data_key_id=uuid.uuid4().hex,
        schema=TableSchema(format=sources[0].suffix.lstrip(".") or "bin", header=header),
        partition={"date": date} if date else {},
        wraps=(key_service_for(ref, home=home()).wrap(ref, data_key, dataset),),
        previous=latest.digest if latest else None,
        producer=Producer(run="cli", spec=""),
        trust_domain=latest.trust_domain if latest else _NO_DOMAIN,
    )
    with bytes_bar() as bar:
        task = bar.add_task("sealing", total=total)
        manifest = seal_sources(
            sources,
            store,
            head,
            store.next_version(),
            data_key,
            table=table,
            progress=lambda done: bar.advance(task, done),
        )
    console().print(f"sealed {len(manifest.parts)} parts as version {manifest.version} of {dataset}")


@app.command("open")
def open_(
    source: Dataset,
    target: Annotated[Path, typer.Argument(help="New folder for the plaintext (mode 0700).")],
    version: Version = None,
    key: OriginalKey = None,
) -> None:
    """Open a version, or data of BigDL PPML; the folder appears only when every part has authenticated."""
    if _is_original(source, version):
        original.open_into(source, key, target)
        return
    store = DatasetStore(Folder(source))
    manifest = store.read(version)
    with bytes_bar() as bar:
        task = bar.add_task("opening", total=sum(part.length for part in manifest.parts))
        files = open_version(
            store, manifest, open_data_key(home(), manifest), target, lambda done: bar.advance(task, done)
        )
    console().print(f"opened {len(files)} files into {target}", soft_wrap=True)


@app.command()
def verify(source: Dataset, version: Version = None, key: OriginalKey = None) -> None:
    """Authenticate every byte of a version, or of data of BigDL PPML; strangers beside it are an error too."""
    if _is_original(source, version):
        original.verify(source, key)
        return
    store = DatasetStore(Folder(source))
    manifest = store.read(version)
    with bytes_bar() as bar:
        task = bar.add_task("verifying", total=sum(part.length for part in manifest.parts))
        strangers = verify_version(
            store, manifest, open_data_key(home(), manifest), lambda done: bar.advance(task, done)
        )
    others = {part.path for number in store.versions() for part in store.read(number).parts}
    foreign = [path for path in strangers if path not in others]
    if foreign:
        raise DataError(
            f"files that no version names: {', '.join(foreign[:10])}",
            next_step="remove them if they are leftovers of an interrupted write",
        )
    console().print(f"version {manifest.version} of {manifest.dataset} is whole: {len(manifest.parts)} parts")


def _is_original(source: str, version: int | None) -> bool:
    """Whether a folder is of BigDL PPML. Raises ConfigError when a version of such a one was asked for."""
    found = format_of(Folder(source)) != "sealed"
    if found and version is not None:
        raise ConfigError("data sets of BigDL PPML have no versions", next_step="leave --version out")
    return found


@app.command()
def rewrap(source: Dataset) -> None:
    """Wrap the newest version's data key by the current versions of its primary keys, after a rotation."""
    store = DatasetStore(Folder(source))
    manifest = store.read()
    state = home()
    data_key = open_data_key(state, manifest)
    wraps = tuple(
        key_service_for(wrap.ref, home=state).wrap(wrap.ref.unversioned(), data_key, manifest.dataset)
        for wrap in manifest.wraps
    )
    keys = ", ".join(wrap.key for wrap in wraps)
    if [wrap.key for wrap in wraps] == [wrap.key for wrap in manifest.wraps]:
        console().print(f"version {manifest.version} of {manifest.dataset}: nothing to do, its key is {keys}")
        return
    renewed = rewrap_version(store, manifest, data_key, wraps)
    console().print(f"version {renewed.version} of {renewed.dataset}: {keys}")


@app.command()
def show(source: Dataset, version: Version = None, as_json: AsJson = False) -> None:
    """Show what a manifest or folder says; needs no key, so nothing is authenticated."""
    if _is_original(source, version):
        original.show(source, as_json)
        return
    store = DatasetStore(Folder(source))
    manifest = store.read(version)
    if as_json:
        show_json(manifest.document())
        return
    out = console()
    out.print(f"{manifest.dataset}  version {manifest.version} of {store.versions()[-1]}  (not authenticated)")
    out.print(f"digest     {manifest.digest}\nkey        {', '.join(wrap.key for wrap in manifest.wraps)}")
    out.print(f"partition  {manifest.partition}\nproducer   {manifest.producer.run}")
    table = Table("part", "sealed bytes", "node")
    for part in manifest.parts:
        table.add_row(part.path, f"{part.length:,}", part.node or "")
    out.print(table)


@app.command()
def logs(run: Annotated[str, typer.Argument(help="Run key, as `run` and the receipt show it.")]) -> None:
    """Print what a run's jobs printed; needs the key of the result data set."""
    from ppml_ops.lifecycle.logs import read_logs
    from ppml_ops.lifecycle.run import load_run

    for _generation, piece in read_logs(load_run(home(), run)):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()

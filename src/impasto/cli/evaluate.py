"""`impasto evaluate`: how good the pictures of a run, a model or a folder are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.errors import ImpastoError
from impasto.formatting import quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    import torch

    from impasto.collection import Collection
    from impasto.evaluation.evaluate import Evaluator, Plan
    from impasto.evaluation.gather import Update
    from impasto.evaluation.outcome import Outcome
    from impasto.evaluation.record import ScoreRow
    from impasto.evaluation.reference import Split
    from impasto.features import FeatureNetwork


@contextlib.contextmanager
def shown(what: str, total: int) -> Iterator[Update]:
    """A progress line for a stretch of work."""
    from impasto.progress import ProgressLine

    with ProgressLine(total, what=what).shown() as line:
        yield line.update


def load_networks(names: str, weights: Sequence[str], device: str) -> list[FeatureNetwork]:
    """The networks of a list such as `lite0,inception`, with weights such as `inception=FILE`.

    Raises:
        ImpastoError: an unknown network, or weights of one that is not asked for.
    """
    from impasto.features import load_network

    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not wanted:
        raise ImpastoError("--features names no network; the offline one is lite0")
    given = {}
    for text in weights:
        name, equals, source = text.partition("=")
        if not equals or name not in wanted:
            raise ImpastoError(
                f"--weights takes NETWORK=FILE for a network of --features ({', '.join(wanted)}), "
                f"not '{text}'"
            )
        given[name] = source
    return [load_network(name, weights=given.get(name), device=device) for name in wanted]


def as_split(word: str) -> Split:
    """Raises: ImpastoError: not `train`, `heldout` or `all`."""
    from impasto.evaluation.reference import SPLITS

    if word in SPLITS:
        return SPLITS[word]
    raise ImpastoError(f"--against takes train, heldout or all, not '{word}'")


def checkpoints_of(run: Path, which: str | None) -> list[Path]:
    """The model folders meant by `--checkpoints`: the newest, `all`, or `every:N`, the newest always
    among them.

    Raises:
        ImpastoError: neither, or a run without a checkpoint.
    """
    from impasto.sampling.model import checkpoint_folders, find_model

    if which is None:
        return [find_model(run)]
    if not (run / "run.json").is_file():
        raise ImpastoError(f"--checkpoints goes through those of a run, and {run} is none")
    newest = find_model(run)
    folders = checkpoint_folders(run)
    word, _, number = which.partition(":")
    if which == "all":
        return folders
    if word == "every" and number.isdecimal() and int(number) > 0:
        kept = folders[:: int(number)]
        return kept if newest in kept else [*kept, newest]
    raise ImpastoError(f"--checkpoints takes all, or every:N such as every:5, not '{which}'")


def tell(outcomes: Sequence[Outcome], home: Path) -> None:
    """Print each outcome's table, and where all of it lies."""
    from impasto.evaluation.outcome import LEFT_OUT, PAIRS, SHEET, TABLE
    from impasto.evaluation.record import METRICS_FILE
    from impasto.evaluation.table import lines

    for outcome in outcomes:
        for text in lines(outcome.row):
            typer.echo(text)
        if outcome.before:
            typer.echo(
                f"scored before ({outcome.row.created[:10]}), with the same pictures and reference; "
                "--again does it anew"
            )
        typer.echo()
        if outcome.row.folder is not None:
            folder = home / outcome.row.folder
            typer.echo(
                f"closest pairs: {quoted(folder / SHEET)}, of all pictures: {quoted(folder / PAIRS)}"
            )
            typer.echo(f"this table: {quoted(folder / TABLE)}")
            if outcome.row.pictures.left_out:
                typer.echo(f"left out: {quoted(folder / LEFT_OUT)}")
    typer.echo(f"all numbers: {quoted(home / METRICS_FILE)}")


def evaluate_folders(
    folders: Sequence[Path],
    evaluator: Evaluator,
    plan: Plan,
    *,
    run: Path | None,
    home: Path,
    name: str,
    device: torch.device,
    truncation: float | None = None,
    batch: int = 64,
    again: bool = False,
) -> list[Outcome]:
    """Evaluate model folders one after the other; of several, say how far it is."""
    from impasto.evaluation.outcome import evaluate_model

    found: list[Outcome] = []
    for number, folder in enumerate(folders):
        outcomes = evaluate_model(
            folder,
            name,
            evaluator,
            plan,
            home,
            of_run=run is not None,
            device=device,
            truncation=truncation,
            batch=batch,
            again=again,
            more=partial(discriminator_rows, folder, evaluator.collection, device),
        )
        found += outcomes
        if len(folders) > 1:
            before = ", scored before" if all(each.before for each in outcomes) else ""
            typer.echo(f"checkpoint {number + 1} of {len(folders)}: {folder}{before}")
    return found


def discriminator_rows(
    folder: Path, collection: Collection, device: torch.device
) -> list[ScoreRow]:
    """How the discriminator beside a generator names held-out pictures, as GANGogh was judged;
    nothing where it is not there or names no classes."""
    from impasto.cli.classify import with_noise
    from impasto.config import read_record
    from impasto.curation.classification import classify
    from impasto.evaluation.evaluate import accuracy_rows
    from impasto.sampling.model import MODEL_FILE, ModelRecord, load_discriminator

    record = with_noise(read_record(folder / MODEL_FILE, "model", ModelRecord), folder)
    if record.discriminator_sha256 is None or not record.labels:
        return []
    if not len(collection.heldout_indices) or collection.content_hash != record.collection.hash:
        return []
    discriminator = load_discriminator(folder)
    try:
        results = classify(discriminator, record, collection, device=device)
    except ImpastoError:
        return []  # it names no classes; `impasto classify` says why
    return [row for each in results for row in accuracy_rows("accuracy-discriminator", each)]


@dataclass(frozen=True)
class Wanted:
    """What pictures are compared with, and how they are brought to size."""

    split: Split
    limit: int | None
    fit: str | None
    side: int | None


def is_given(path: Path) -> bool:
    """Whether a path is of pictures (a folder, an archive, a collection), not of a run or a model.

    Raises:
        ImpastoError: it is another file.
    """
    from impasto.cli.classify import run_of
    from impasto.sampling.model import MODEL_FILE
    from impasto.sources.trees import open_source

    if path.is_dir():
        return run_of(path) is None and not (path / MODEL_FILE).is_file()
    if path.is_file() and open_source(path).file is not None:
        raise ImpastoError(
            f"{path} is a single file; give a run, a model, a folder or archive of pictures, or a "
            "collection (impasto pack makes one of parquet, .npz and tables)"
        )
    return path.is_file()


def evaluate_given(
    path: Path,
    data: str | None,
    wanted: Wanted,
    networks: Callable[[], list[FeatureNetwork]],
    out: Path | None,
) -> None:
    """Evaluate the pictures of a folder, an archive or a collection, and print the outcome.

    They are looked at before anything that takes long: loading the networks, packing the paintings in
    the package, looking at training pictures.
    """
    from impasto.collection import Collection, open_or_pack
    from impasto.collection.opening import packed_at
    from impasto.evaluation.evaluate import Evaluator
    from impasto.evaluation.given import common_side, look_through, of_collection, of_given
    from impasto.evaluation.outcome import evaluate_pictures

    if data is None:
        raise ImpastoError(f"{path} holds pictures: say with --data what to compare them with")
    if wanted.side is not None and wanted.fit is None:
        raise ImpastoError("--resolution goes with --fit")
    there = packed_at(data)
    if (path / "collection.json").is_file():
        if wanted.fit is not None:
            raise ImpastoError(
                f"{path} is a collection, whose pictures are squares already; --fit is for a folder "
                "or an archive of pictures"
            )
        given = Collection.open(path)
        side = common_side(given, there)
        collection = open_or_pack(data, side)
        pictures = of_collection(given, side, collection, wanted.split)
        for note in pictures.notes:
            typer.echo(f"note: {note}")
    else:
        looked = look_through(path, there, fit=wanted.fit, side=wanted.side, progress=shown)
        for note in looked.notes:
            typer.echo(f"note: {note}")
        side = looked.side
        collection = open_or_pack(data, side)
        pictures = of_given(looked, collection)
    evaluator = Evaluator(
        networks(),
        collection,
        resolution=side,
        split=wanted.split,
        limit=wanted.limit,
        progress=shown,
    )
    whole = path.resolve()
    name = whole.name if path.is_dir() else whole.name.partition(".")[0] or whole.name
    home = out or Path("evaluations") / name
    tell(evaluate_pictures(pictures, name, evaluator, home), home)


def command(
    path: Annotated[
        Path,
        typer.Argument(
            help="A run, one of its checkpoints, a model; or pictures: a folder or an archive (in "
            "folders by class, if there are classes), or a collection."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="A collection, or the word masters; the run's own if left out."),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="Feature networks, such as lite0,inception: lite0, inception, dinov2, clip."
        ),
    ] = "lite0",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK=FILE", help="Where a network's weights are: a file or a URL."
        ),
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="all, or every:5: score a run over time, not its newest checkpoint only."
        ),
    ] = None,
    pictures: Annotated[
        int,
        typer.Option(
            metavar="N", min=2, help="Pictures made, with classes as frequent as in the collection."
        ),
    ] = 2_000,
    per_class: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="As many of each class at least, for the scores by class."
        ),
    ] = 100,
    against: Annotated[
        str, typer.Option(help="train, heldout or all: the real pictures compared with.")
    ] = "train",
    reference: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, help="Compare with so many of them at most, chosen at random."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the first generated picture.")
    ] = 0,
    fit: Annotated[
        str | None,
        typer.Option(
            help="crop, squash or pad: bring the pictures of a folder or archive to one size, as "
            "impasto pack does. Without it, those of other sizes are left out."
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=4,
            help="With --fit: their side in pixels. By default that of most of them, or else the "
            "collection's.",
        ),
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(help="As in `impasto sample`; by default none.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for metrics.jsonl and what goes with it; the run if left out."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Score anew what was scored in just this way before.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, help="Pictures made at once, 64 at most.")
    ] = 64,
) -> None:
    """Score pictures against a collection's, with 95% intervals.

    Distance, quality, variety, classes and copies, overall and by class.
    Adds a row to metrics.jsonl, and beside it the table and the closest pairs of a generated and a
    training picture. Features of the collection are kept in the cache for the next time.
    """
    from impasto.cli.classify import find_collection, run_of
    from impasto.config import read_record
    from impasto.device import choose_device
    from impasto.errors import StoppedError
    from impasto.evaluation.evaluate import Evaluator, Plan
    from impasto.evaluation.table import over_time
    from impasto.sampling.model import MODEL_FILE, ModelRecord

    split = as_split(against)
    where = choose_device(device)
    given = weights or []
    plan = Plan(count=pictures, per_class=per_class, first_seed=seed)
    try:
        if is_given(path):
            if checkpoints is not None or truncation is not None:
                raise ImpastoError(
                    f"{path} holds pictures: --checkpoints and --truncation are for a run's"
                )
            wanted = Wanted(split, reference, fit, resolution)
            evaluate_given(path, data, wanted, partial(load_networks, features, given, device), out)
            return
        if fit is not None or resolution is not None:
            raise ImpastoError("--fit and --resolution are for a folder or an archive of pictures")
        networks = load_networks(features, given, device)
        folders = checkpoints_of(path, checkpoints)
        record = read_record(folders[-1] / MODEL_FILE, "model", ModelRecord)
        run = run_of(path)
        name = (run or path.resolve()).name
        evaluator = Evaluator(
            networks,
            find_collection(path, record, data),
            resolution=record.resolution,
            labels=tuple(field.name for field in record.labels) or None,
            split=split,
            limit=reference,
            progress=shown,
        )
        home = out or run or Path("evaluations") / name
        found = evaluate_folders(
            folders,
            evaluator,
            plan,
            run=run,
            home=home,
            name=name,
            device=where,
            truncation=truncation,
            batch=batch,
            again=again,
        )
        tell(found[-len(networks) :], home)
        if len(folders) > 1:
            for network in networks:
                rows = [each.row for each in found if each.row.network.name == network.name]
                typer.echo()
                for text in over_time(rows):
                    typer.echo(text)
    except KeyboardInterrupt:
        raise StoppedError(
            "stopped; what was scored is kept: the same command goes on with the rest"
        ) from None

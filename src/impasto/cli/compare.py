"""`impasto compare`: runs side by side, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.errors import ImpastoError
from impasto.formatting import quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    import torch

    from impasto.collection import Collection
    from impasto.evaluation.evaluate import Plan
    from impasto.features import FeatureNetwork
    from impasto.report.comparison import Compared


def unique_names(folders: Sequence[Path]) -> list[str]:
    """Names of runs, with as many folders above as it takes to tell them apart.

    Raises:
        ImpastoError: a run that is named twice.
    """
    whole = [folder.resolve() for folder in folders]
    for place, folder in enumerate(whole):
        if folder in whole[:place]:
            raise ImpastoError(f"{folders[place]} is given twice; give two runs or more")
    names = [folder.name for folder in whole]
    for depth in range(2, max(len(folder.parts) for folder in whole) + 1):
        if len(set(names)) == len(names):
            break
        names = [
            "/".join(folder.parts[-depth:]) if names.count(name) > 1 else name
            for folder, name in zip(whole, names, strict=True)
        ]
    return names


def open_for(data: str, folders: Sequence[Path], resolutions: Sequence[int]) -> Collection:
    """The collection, of the runs' resolution or a multiple of each one's.

    Raises:
        ImpastoError: it is not there, or does not fit one of the runs.
    """
    from impasto.collection import open_or_pack

    collection = open_or_pack(data, max(resolutions))
    for folder, resolution in zip(folders, resolutions, strict=True):
        if collection.resolution % resolution:
            raise ImpastoError(
                f"{folder} paints {resolution} pixels a side, and {collection.name} is packed at "
                f"{collection.resolution}, no multiple of it; pack the pictures at a multiple of every "
                "run's resolution"
            )
    return collection


def lacking(
    runs: Sequence[Compared], collection_hash: str, networks: Sequence[FeatureNetwork]
) -> bool:
    """Whether some run's checkpoint was not yet evaluated by one of the networks as all others were,
    and as was asked for.

    What training measured on the way does not count: it is of few pictures. Runs of different
    resolutions are measured alike but for that.
    """
    from dataclasses import replace

    from impasto.report.comparison import scored_alike

    found = [
        {replace(key, resolution=0) for key, row in scored.items() if not row.during_training}
        for scored in scored_alike(runs, collection_hash)
    ]
    shared = set.intersection(*found)
    return any(
        (network.name, network.weights_sha256)
        not in {(key.network, key.weights_sha256) for key in shared}
        for network in networks
    )


def evaluate_alike(
    folders: Sequence[Path],
    checkpoints: Sequence[Path],
    resolutions: Sequence[int],
    collection: Collection,
    networks: Sequence[FeatureNetwork],
    plan: Plan,
    *,
    labels: tuple[str, ...] | None,
    reference: int | None,
    device: torch.device,
    batch: int,
) -> None:
    """Evaluate the checkpoints of all runs with the same pictures and reference; what was evaluated
    so already is passed over. Rows go to each run's `metrics.jsonl`.

    Args:
        labels: label fields that have a judge; None: all.
        reference: training pictures compared with at most; None: all.
    """
    from impasto.cli.evaluate import evaluate_folders, shown
    from impasto.evaluation.evaluate import Evaluator

    evaluators: dict[int, Evaluator] = {}
    for folder, checkpoint, resolution in zip(folders, checkpoints, resolutions, strict=True):
        if resolution not in evaluators:
            evaluators[resolution] = Evaluator(
                networks,
                collection,
                resolution=resolution,
                labels=labels,
                limit=reference,
                progress=shown,
            )
        typer.echo(f"evaluating {checkpoint}")
        evaluate_folders(
            [checkpoint],
            evaluators[resolution],
            plan,
            run=folder,
            home=folder,
            name=folder.resolve().name,
            device=device,
            batch=batch,
        )


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of two to six runs.")],
    data: Annotated[str, typer.Option(help="The collection to compare with, or the word masters.")],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("compare.html"),
    best: Annotated[
        bool,
        typer.Option(
            "--best", help="Each run's best checkpoint, by training's own KID, not its newest."
        ),
    ] = False,
    features: Annotated[
        str, typer.Option(help="Feature networks, such as lite0,inception.")
    ] = "lite0",
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK=FILE", help="Where a network's weights are: a file or a URL."
        ),
    ] = None,
    pictures: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Compare scores of so many pictures of each run; if left out, what they share, or "
            "else 2,000.",
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="The same of each class, at least; or else 100."),
    ] = None,
    reference: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, help="Training pictures compared with at most, chosen at random."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures made at once.")] = 64,
) -> None:
    """Compare runs on one HTML page: pictures, scores, tables.

    The same latents of each run side by side; scores over time, overall and by class.
    A best value is marked only where its interval overlaps no other's. Runs whose checkpoints were not
    yet evaluated alike on the collection, or not as asked for, are evaluated first. The page's path is
    the last line printed.
    """
    if len(runs) < 2:
        raise ImpastoError("give two runs or more to compare; for one, there is impasto report")

    from impasto.cli.evaluate import load_networks
    from impasto.config import read_record as read_json_record
    from impasto.device import choose_device
    from impasto.errors import StoppedError
    from impasto.evaluation.evaluate import Plan
    from impasto.report.charts import require_matplotlib
    from impasto.report.comparison import (
        MOST_RUNS,
        Asked,
        Compared,
        sentence,
        write_comparison,
    )
    from impasto.report.painted import side_by_side
    from impasto.report.record import read_record
    from impasto.sampling.model import BEST, MODEL_FILE, ModelRecord, find_model

    if len(runs) > MOST_RUNS:
        raise ImpastoError(f"{len(runs)} runs are too many for one page; give {MOST_RUNS} at most")
    if out.is_dir():
        raise ImpastoError(
            f"{out} is a folder; give the page's file, such as {out / 'compare.html'}"
        )
    require_matplotlib()
    names = unique_names(runs)
    for folder in runs:
        read_record(folder)
    checkpoints = [find_model(folder / BEST if best else folder) for folder in runs]
    models = [read_json_record(path / MODEL_FILE, "model", ModelRecord) for path in checkpoints]
    resolutions = [model.resolution for model in models]
    collection = open_for(data, runs, resolutions)
    chosen = choose_device(device)
    networks = load_networks(features, weights or [], str(chosen))

    asked = Asked(pictures, per_class, reference)
    usual = Plan()
    plan = Plan(
        count=usual.count if pictures is None else pictures,
        per_class=usual.per_class if per_class is None else per_class,
    )

    def compared() -> list[Compared]:
        return [
            Compared(read_record(folder), name, model.images_seen, model.weights_sha256, asked)
            for folder, name, model in zip(runs, names, models, strict=True)
        ]

    try:
        if lacking(compared(), collection.content_hash, networks):
            evaluate_alike(
                runs,
                checkpoints,
                resolutions,
                collection,
                networks,
                plan,
                labels=tuple({field.name for model in models for field in model.labels}) or None,
                reference=reference,
                device=chosen,
                batch=batch,
            )
        painted = side_by_side(checkpoints, device=chosen, batch=batch)
    except KeyboardInterrupt:
        raise StoppedError(
            "stopped; what was scored is kept: the same command goes on with the rest"
        ) from None
    found = compared()
    says = write_comparison(
        found,
        painted,
        collection.name,
        collection.content_hash,
        out,
    )
    typer.echo(sentence(found, collection.name))
    for text in says:
        typer.echo(text)
    typer.echo(quoted(out))

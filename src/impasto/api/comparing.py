"""Runs side by side on one page, evaluated alike before where they were not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import torch

from impasto.api.judging import discriminator_rows
from impasto.collection import Collection, open_or_pack
from impasto.config import read_record as read_json_record
from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.folders import evaluate_folders
from impasto.features import FeatureNetwork, load_networks
from impasto.messages import say
from impasto.progress import shown
from impasto.reporting.charts import require_matplotlib
from impasto.reporting.compared import MOST_RUNS, Asked, Compared, scored_alike, sentence
from impasto.reporting.comparison import write_comparison
from impasto.reporting.painted import side_by_side
from impasto.reporting.record import RunRecord, read_record
from impasto.sampling.model import BEST, MODEL_FILE, ModelRecord, find_model


@dataclass(frozen=True)
class Comparison:
    """What `compare` gives.

    Attributes:
        page: the HTML file.
        lines: what was found, a sentence each.
    """

    page: Path
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def compare(
    runs: Sequence[str | PathLike[str]],
    data: str | Path | Collection,
    *,
    out: str | Path = "compare.html",
    best: bool = False,
    features: str | Sequence[str] = "lite0",
    weights: Mapping[str, str | Path] | None = None,
    pictures: int | None = None,
    per_class: int | None = None,
    reference: int | None = None,
    device: str = "auto",
    batch: int = 64,
) -> Comparison:
    """Compare two to six runs on one HTML page: pictures of the same seeds, scores, tables.

    Runs whose checkpoints were not yet evaluated alike on the collection, or not as asked for, are
    evaluated first; the rows go to each run's `metrics.jsonl`.

    Args:
        runs: folders of runs, two to six.
        data: the collection to compare with, or `masters`.
        out: the HTML file.
        best: compare each run's best checkpoint, by training's own KID, not its newest.
        features: one feature network or several.
        weights: a file or URL for each network whose weights lie elsewhere.
        pictures: generated pictures of each run; None: what the runs share, or else 2,000.
        per_class: of each class at least; None: what they share, or else 100.
        reference: training pictures compared with at most; None: all.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures made at once.

    Raises:
        ImpastoError: fewer than two runs, or more than six; one that is no run or has no checkpoint;
            or a collection that does not fit one of them.
    """
    folders, page = [Path(run).expanduser() for run in runs], Path(out).expanduser()
    if len(folders) < 2:
        raise ImpastoError("give two runs or more to compare; for one, there is impasto report")
    if len(folders) > MOST_RUNS:
        raise ImpastoError(
            f"{len(folders)} runs are too many for one page; give {MOST_RUNS} at most"
        )
    if page.is_dir():
        raise ImpastoError(
            f"{page} is a folder; give the page's file, such as {page / 'compare.html'}"
        )
    require_matplotlib()
    names = unique_names(folders)
    records = [read_record(folder) for folder in folders]
    checkpoints = [find_model(folder / BEST if best else folder) for folder in folders]
    models = [read_json_record(path / MODEL_FILE, "model", ModelRecord) for path in checkpoints]
    collection = open_for(data, folders, [model.resolution for model in models])
    chosen = choose_device(device)
    networks = load_networks(features, weights, device=chosen)
    asked = Asked(pictures, per_class, reference)

    def compared(records: Sequence[RunRecord]) -> list[Compared]:
        return [
            Compared(record, name, model.images_seen, model.weights_sha256, asked)
            for record, name, model in zip(records, names, models, strict=True)
        ]

    found = compared(records)
    if lacking(found, collection.content_hash, networks):
        evaluate_alike(
            folders,
            checkpoints,
            [model.resolution for model in models],
            collection,
            networks,
            SampleCounts(
                count=SampleCounts.count if pictures is None else pictures,
                per_class=SampleCounts.per_class if per_class is None else per_class,
            ),
            labels=tuple({field.name for model in models for field in model.labels}) or None,
            reference=reference,
            device=chosen,
            batch=batch,
        )
        found = compared([read_record(folder) for folder in folders])
    painted = side_by_side(checkpoints, device=chosen, batch=batch)
    says = write_comparison(found, painted, collection.name, collection.content_hash, page)
    return Comparison(page, (sentence(found, collection.name), *says))


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


def open_for(
    data: str | Path | Collection, folders: Sequence[Path], resolutions: Sequence[int]
) -> Collection:
    """The collection, of the runs' resolution or a multiple of each one's.

    Raises:
        ImpastoError: it is not there, or does not fit one of the runs.
    """
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
    plan: SampleCounts,
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
    evaluators: dict[int, Evaluator] = {}
    for folder, checkpoint, side in zip(folders, checkpoints, resolutions, strict=True):
        if side not in evaluators:
            evaluators[side] = Evaluator(
                networks,
                collection,
                resolution=side,
                labels=labels,
                limit=reference,
                progress=shown,
            )
        say(f"evaluating {checkpoint}")
        evaluate_folders(
            [checkpoint],
            evaluators[side],
            plan,
            run=folder,
            home=folder,
            name=folder.resolve().name,
            device=device,
            batch=batch,
            more=discriminator_rows,
        )

"""Evaluation: `evaluate` and `report`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import torch

from impasto.api.collections import size_from
from impasto.collection import Collection, open_or_pack
from impasto.curation.classification import classify
from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.evaluation.by_size import of_several_sizes, sizes_with_pictures
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.folders import (
    ComparedWith,
    checkpoints_of,
    evaluate_folders,
    evaluate_given,
    home_of,
    is_given,
)
from impasto.evaluation.outcome import Outcome, PaintingOptions
from impasto.evaluation.record import EvaluationRow, ScoreRow
from impasto.evaluation.reference import split_of
from impasto.evaluation.score_rows import accuracy_rows
from impasto.evaluation.table import lines, lines_of_sizes
from impasto.features import FeatureNetwork, load_networks
from impasto.messages import say
from impasto.progress import shown
from impasto.reporting import page
from impasto.resolution import Resolution
from impasto.sampling.model import ModelRecord, load_discriminator, name_of, run_of
from impasto.sampling.step_settings import AS_SAVED, StepSettings
from impasto.sources.remote.addresses import place_at
from impasto.sources.remote.path import Place
from impasto.training.run_folder import find_collection, with_noise


@dataclass(frozen=True)
class Evaluations:
    """The result of `evaluate`.

    Attributes:
        outcomes: one for each checkpoint and feature network, checkpoints in order. For a model of
            several sizes these are at its own size, or at the requested aspect.
        folder: the folder of `metrics.jsonl`; tables and sheets of closest pairs are beside it.
        other_sizes: outcomes at each further size that was scored.
    """

    outcomes: Sequence[Outcome]
    folder: Path
    other_sizes: Sequence[Sequence[Outcome]] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the feature networks."""
        return tuple(dict.fromkeys(each.row.network.name for each in self.outcomes))

    @property
    def newest(self) -> Sequence[Outcome]:
        """The outcomes of the newest checkpoint, one for each feature network."""
        return self.outcomes[-len(self.networks) :]

    @property
    def newest_of_all_sizes(self) -> Sequence[Outcome]:
        """The outcomes of the newest checkpoint at all sizes, its own size first."""
        sizes = (self.outcomes, *self.other_sizes)
        return [outcome for each in sizes for outcome in each[-len(self.networks) :]]

    def all_sizes(self) -> list[list[EvaluationRow]]:
        """The newest checkpoint's rows of all sizes, for each feature network; empty if there is only
        one size."""
        return of_several_sizes(each.row for each in self.newest_of_all_sizes)

    @property
    def scores(self) -> dict[str, float | None]:
        """The overall scores of the newest checkpoint by name, such as `kid-lite0`."""
        return {
            score.name: score.value
            for outcome in self.newest
            for score in outcome.row.scores
            if score.field is None
        }

    def over_time(self) -> list[list[EvaluationRow]]:
        """For each feature network the rows of all checkpoints; empty if there is only one."""
        if len(self.outcomes) == len(self.networks):
            return []
        return [
            [each.row for each in self.outcomes if each.row.network.name == name]
            for name in self.networks
        ]

    def __str__(self) -> str:
        texts = [text for outcome in self.newest_of_all_sizes for text in lines(outcome.row)]
        texts += [text for rows in self.all_sizes() for text in lines_of_sizes(rows)]
        return "\n".join(texts)

    def __repr__(self) -> str:
        return str(self)


def evaluate(
    what: str | PathLike[str],
    data: str | Path | Collection | None = None,
    *,
    features: str | Sequence[str] = "lite0",
    weights: Mapping[str, str | Path] | None = None,
    checkpoints: str | None = None,
    pictures: int = 2_000,
    per_class: int = 100,
    against: str = "train",
    reference: int | None = None,
    whole: bool = False,
    seed: int = 0,
    fit: str | None = None,
    resolution: Resolution | str | None = None,
    truncation: float | None = None,
    how: StepSettings = AS_SAVED,
    out: str | Path | None = None,
    again: bool = False,
    device: str = "auto",
    batch: int = 64,
) -> Evaluations:
    """Score pictures against a collection's, with 95% intervals; each size against real pictures of its
    own. Rows are added to `metrics.jsonl`, with tables and closest pairs, unless already recorded.

    Args:
        what: a run, one of its checkpoints (`RUN/best`), a model (`hf:OWNER/NAME` too); or pictures: a
            folder or an archive, on disk or at an address, or a collection.
        data: the collection to compare with, or `masters`; None: the run's training collection.
        features: one feature network or several: lite0, inception, dinov2, clip.
        weights: a file or URL for each network with weights of your own.
        checkpoints: `all` or `every:5` of a run; None: the newest only.
        pictures: generated pictures, from 2, with classes as frequent as in the collection.
        per_class: least number of each class, from 0, for the scores by class.
        against: `train`, `heldout` or `all`: the reference pictures.
        reference: most reference pictures, chosen at random; from 2. None: all.
        whole: compare a model that was trained on a part of a collection (`only`) with all of it.
        seed: seed of the first generated picture.
        fit: `crop`, `squash` or `pad`: resize given pictures; None: leave out those of other sizes.
        resolution: with `fit`, their side in pixels, or width x height such as "192x256".
        truncation: see `Model.sample`.
        how: settings of sampling: `StepSettings(steps=8)`; of one size only: `aspect="3:4"`.
        out: folder for `metrics.jsonl`; None: the run, or `evaluations/NAME`.
        again: repeat recorded evaluations.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures at a time.

    Raises:
        ImpastoError: there is nothing to evaluate or to compare with, or options conflict.
    """
    path, home = place_at(what), None if out is None else Path(out).expanduser()
    size = size_from(resolution)
    options = (checkpoints, truncation, None if how == AS_SAVED else how), (fit, size)
    real = ComparedWith(data, split_of(against), reference, whole)
    painting = PaintingOptions(choose_device(device), truncation, batch, how)
    networks = partial(load_networks, features, weights, device=painting.device)
    if _are_given(path, *options):
        return Evaluations(*evaluate_given(path, real, networks, home, fit=fit, size=size))
    plan = SampleCounts(count=pictures, per_class=per_class, first_seed=seed)
    return _of_models(path, checkpoints, real, networks, plan, painting, home, again=again)


def _are_given(path: Place, of_models: tuple[object, ...], of_pictures: tuple[object, ...]) -> bool:
    """Whether `path` holds pictures to evaluate, rather than a model.

    Args:
        path: the path that is evaluated.
        of_models: options for models, None where not set.
        of_pictures: options for given pictures, None where not set.

    Raises:
        ImpastoError: an option is for the other kind.
    """
    given = is_given(path)
    if given and any(option is not None for option in of_models):
        raise ImpastoError(
            f"{path} holds pictures: --checkpoints, --truncation, --steps, --sampler, --guidance, "
            "--guide and --aspect are for a run's"
        )
    if not given and any(option is not None for option in of_pictures):
        raise ImpastoError("--fit and --resolution are for a folder or an archive of pictures")
    return given


def _of_models(
    path: Place,
    checkpoints: str | None,
    real: ComparedWith,
    networks: Callable[[], list[FeatureNetwork]],
    plan: SampleCounts,
    painting: PaintingOptions,
    out: Path | None,
    *,
    again: bool,
) -> Evaluations:
    """Evaluate a model, or checkpoints of a run; see `evaluate`."""
    assert isinstance(path, Path)  # At an address there are no models.
    if plan.count < 2:
        raise ImpastoError(f"pictures is the number to generate, from 2, not {plan.count}")
    folders = checkpoints_of(path, checkpoints)
    record = ModelRecord.of(folders[-1])
    run = run_of(path)
    name = run.name if run else name_of(path)
    own = painting.how.bucket(record.buckets) or record.resolution
    whole = find_collection(path, record, real.data)
    used, home = networks(), out or home_of(path, run)
    found = []
    views = {own: whole.view_for(own)} if painting.how.aspect else views_of(record, whole)
    for number, (size, view) in enumerate(views.items()):
        if len(views) > 1:
            say(f"size {number + 1} of {len(views)}: {size} pixels", to_stderr=True)
        collection = view
        if real.whole and collection.condition is not None:
            collection = open_or_pack(collection.path, size)
        evaluator = Evaluator(
            used,
            collection,
            resolution=size,
            labels=tuple(field.name for field in record.labels) or None,
            split=real.split,
            limit=real.limit,
            progress=shown,
        )
        outcomes = evaluate_folders(
            folders,
            evaluator,
            plan,
            painting if size == own else painting.at(size),
            run=run,
            home=home,
            name=name,
            again=again,
            more=discriminator_rows,
        )
        found.append(outcomes)
    return Evaluations(found[0], home, found[1:])


def views_of(record: ModelRecord, collection: Collection) -> dict[Resolution, Collection]:
    """The sizes of a model of which the collection has pictures, its own size first, each with the
    collection's view at it. Prints a note on sizes without pictures."""
    views, lacking = sizes_with_pictures(record, collection)
    if lacking:
        sizes = ", ".join(map(str, lacking))
        say(f"not scored: {sizes}; {collection.title} has no pictures of this size")
    return views


def report(run: str | PathLike[str], *, axis: str = "images") -> Path:
    """Write a run's page, `report.html` in its folder, and give its path; the run may be
    unfinished.

    Args:
        run: its folder.
        axis: `images`, `epochs` or `iterations`: what the charts are over when the page is opened.

    Raises:
        ImpastoError: no run, no such axis, no matplotlib, or the folder cannot be written.
    """
    return page.write_report(Path(run).expanduser(), axis).page


def discriminator_rows(
    folder: Path, collection: Collection, device: torch.device | str
) -> list[ScoreRow]:
    """The accuracy of a model's discriminator on held-out pictures, as GANGogh was evaluated; empty
    if it is missing or does not classify."""
    record = with_noise(ModelRecord.of(folder), folder)
    if record.discriminator_sha256 is None or not record.labels:
        return []
    if not len(collection.heldout_indices) or not collection.is_at(record.collection.hash):
        return []
    discriminator = load_discriminator(folder)
    try:
        results = classify(discriminator, record, collection, device=device)
    except ImpastoError:
        return []  # it does not classify; `impasto classify` says why
    return [row for each in results for row in accuracy_rows("accuracy-discriminator", each)]

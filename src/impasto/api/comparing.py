"""Compare runs on one page, after evaluating them with equal settings where needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from impasto.api.judging import discriminator_rows, views_of
from impasto.collection import Collection, open_or_pack
from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.folders import evaluate_folders, home_of
from impasto.evaluation.outcome import PaintingOptions
from impasto.evaluation.record import EvaluationRow
from impasto.features import FeatureNetwork, load_networks
from impasto.messages import say
from impasto.progress import shown
from impasto.reporting.charts import require_matplotlib
from impasto.reporting.compared import MOST_RUNS, Asked, Compared, scored_alike, sentence
from impasto.reporting.comparison import write_comparison
from impasto.reporting.painted import side_by_side
from impasto.reporting.record import RunRecord, read_record
from impasto.reporting.record_of_model import record_of_model
from impasto.reporting.scores import Conditions
from impasto.resolution import Resolution, area, in_words, times
from impasto.sampling.model import BEST, ModelRecord, find_model, run_of


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
        page: the HTML file.
        lines: the results, a sentence each.
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
    """Compare two to six runs or models on one HTML page: pictures of the same seeds, scores, tables.

    Those without an evaluation on the collection with the same settings are evaluated first; the rows go
    to each run's `metrics.jsonl`, and to `evaluations/NAME` for a model.

    Args:
        runs: runs, checkpoints or models, such as `hf:OWNER/NAME`; two to six.
        data: the collection to compare with, or `masters`.
        out: the HTML file.
        best: compare each run's best checkpoint, by the KID measured in training, instead of its
            newest. Checkpoints and models stand for themselves.
        features: one feature network or several.
        weights: a file or URL for each network with weights of your own.
        pictures: generated pictures of each run; None: the number that the runs' evaluations share,
            or else 2,000.
        per_class: least number of each class; None: the shared number, or else 100.
        reference: training pictures compared with at most; None: all.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures at a time.

    Raises:
        ImpastoError: there are fewer than two or more than six, one is no model, or the collection does
            not fit one of them.
    """
    folders, page = [Path(run).expanduser() for run in runs], Path(out).expanduser()
    _check_count(folders, page)
    require_matplotlib()
    compared = _Runs.read(folders, best=best)
    collection = open_for(data, folders, compared.resolutions)
    compared = compared.with_views(collection)
    painting = PaintingOptions(choose_device(device), batch=batch)
    networks = load_networks(features, weights, device=painting.device)
    asked = Asked(pictures, per_class, reference)
    found = compared.for_page(asked)
    several = [len(views) > 1 for views in compared.views]
    if lacking(found, collection.content_hash, networks, several):
        evaluate_alike(compared, networks, asked, painting)
        found = compared.reread().for_page(asked)
    painted = side_by_side(compared.checkpoints, device=painting.device, batch=batch)
    says = write_comparison(found, painted, collection.name, collection.content_hash, page)
    return Comparison(page, (sentence(found, collection.name), *says))


def _check_count(folders: Sequence[Path], page: Path) -> None:
    """Check that there are two to six runs, and that the page's path is no folder.

    Raises:
        ImpastoError: there are fewer or more, or it is a folder.
    """
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


@dataclass(frozen=True)
class _Runs:
    """The runs and models that are compared, each with one checkpoint."""

    folders: Sequence[Path]
    homes: Sequence[Path]
    """For each, the folder of its `metrics.jsonl`."""
    names: Sequence[str]
    records: Sequence[RunRecord]
    checkpoints: Sequence[Path]
    models: Sequence[ModelRecord]
    """Records of the checkpoints."""
    views: Sequence[Mapping[Resolution, Collection]] = ()
    """For each model its sizes, its own size first, with the view of the collection at each."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """From the content hash of each of the collection's views to that of the whole collection."""

    @classmethod
    def read(cls, folders: Sequence[Path], *, best: bool) -> "_Runs":
        """Read runs and models.

        Args:
            folders: runs, checkpoints and models.
            best: take the best checkpoint of each run instead of its newest.

        Raises:
            ImpastoError: one is given twice, is neither run nor model, or has no such checkpoint.
        """
        names = unique_names(folders)
        runs = [folder if (folder / "run.json").is_file() else run_of(folder) for folder in folders]
        checkpoints = [
            find_model(folder / BEST if best and run == folder else folder)
            for folder, run in zip(folders, runs, strict=True)
        ]
        models = [ModelRecord.of(path) for path in checkpoints]
        homes = [home_of(folder, run) for folder, run in zip(folders, runs, strict=True)]
        return cls(folders, homes, names, _records(homes, models), checkpoints, models)

    def with_views(self, collection: Collection) -> "_Runs":
        """The same runs, with the collection's view for each of their sizes."""
        if not collection.bucketed:
            views = [{model.resolution: collection} for model in self.models]
            return replace(self, views=views)
        hashes = {view.content_hash: collection.content_hash for view in collection.views()}
        views = [views_of(model, collection) for model in self.models]
        return replace(self, views=views, hashes=hashes).reread()

    def reread(self) -> "_Runs":
        """The same runs, with their evaluations read again. An evaluation on one size of a bucketed
        collection counts as one on the collection."""
        records = [
            replace(record, evaluations=[_rehashed(row, self.hashes) for row in record.evaluations])
            for record in _records(self.homes, self.models)
        ]
        return replace(self, records=records)

    @property
    def resolutions(self) -> list[Resolution]:
        return [model.resolution for model in self.models]

    @property
    def judged(self) -> tuple[str, ...] | None:
        """The label fields that a judge is fitted for: those of all models together; None (all fields of
        the collection) if no model has any."""
        names = dict.fromkeys(field.name for model in self.models for field in model.labels)
        return tuple(names) or None

    def for_page(self, asked: Asked) -> list[Compared]:
        """The runs as the page takes them.

        Args:
            asked: the numbers of pictures that the user chose.
        """
        return [
            Compared(record, name, model.images_seen, model.weights_sha256, asked)
            for record, name, model in zip(self.records, self.names, self.models, strict=True)
        ]


def _rehashed(row: EvaluationRow, hashes: Mapping[str, str]) -> EvaluationRow:
    """The row with the content hash of the collection in place of its view's."""
    known = hashes.get(row.collection.hash, row.collection.hash)
    return row.model_copy(update={"collection": row.collection.model_copy(update={"hash": known})})


def _records(homes: Sequence[Path], models: Sequence[ModelRecord]) -> list[RunRecord]:
    return [
        read_record(home) if run_of(home) else record_of_model(model, home)
        for home, model in zip(homes, models, strict=True)
    ]


def unique_names(folders: Sequence[Path]) -> list[str]:
    """Names of runs, with as many parent folders as make them unique.

    Raises:
        ImpastoError: a run is given twice.
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
    data: str | Path | Collection, folders: Sequence[Path], resolutions: Sequence[Resolution]
) -> Collection:
    """Open the collection at a common multiple of the runs' resolutions.

    Raises:
        ImpastoError: it is missing, or does not fit one of the runs.
    """
    collection = open_or_pack(data, max(resolutions, key=area))
    for folder, resolution in zip(folders, resolutions, strict=True):
        if not times(collection.view_for(resolution).resolution, resolution):
            raise ImpastoError(
                f"{folder} paints {in_words(resolution)} pixels, and {collection.name} is packed at "
                f"{in_words(collection.resolution)}, no multiple of it; pack the pictures at a "
                "multiple of every run's resolution"
            )
    return collection


def lacking(
    runs: Sequence[Compared],
    collection_hash: str,
    networks: Sequence[FeatureNetwork],
    several: Sequence[bool],
) -> bool:
    """Whether the checkpoints lack evaluations by one of the networks with settings that all share.

    Evaluations during training do not count, because they have few pictures. Resolutions may differ.

    Args:
        runs: with the requested settings.
        collection_hash: content hash of the collection.
        networks: feature networks; each must have evaluated every checkpoint.
        several: for each run, whether it has several sizes; then the mean over its sizes counts.
    """
    scored = [
        [key for key, row in found.items() if not row.during_training]
        for found in scored_alike(runs, collection_hash)
    ]
    alike = [
        {_ignoring_size(key, any(several)) for key in keys if bool(key.sizes) == has_sizes}
        for keys, has_sizes in zip(scored, several, strict=True)
    ]
    shared = set.intersection(*alike)
    return any(
        (network.name, network.weights_sha256)
        not in {(key.network, key.weights_sha256) for key in shared}
        for network in networks
    )


def _ignoring_size(key: Conditions, several: bool) -> Conditions:
    """Conditions that are equal for evaluations at different resolutions.

    Args:
        key: the conditions.
        several: whether any run has several sizes. Then the number of real pictures is ignored too,
            because it differs between a mean over sizes and an evaluation at one size.
    """
    if several:
        return replace(key, resolution=0, sizes=(), reference=0)
    return replace(key, resolution=0)


def evaluate_alike(
    runs: _Runs,
    networks: Sequence[FeatureNetwork],
    asked: Asked,
    painting: PaintingOptions,
) -> None:
    """Evaluate the checkpoints of all runs with the same settings, at each of their sizes. Recorded
    evaluations are not repeated. Rows go to `metrics.jsonl` of each home."""
    plan = SampleCounts(
        count=SampleCounts.count if asked.pictures is None else asked.pictures,
        per_class=SampleCounts.per_class if asked.per_class is None else asked.per_class,
    )
    evaluators = {
        size: Evaluator(
            networks,
            view,
            resolution=size,
            labels=runs.judged,
            limit=asked.reference,
            progress=shown,
        )
        for views in runs.views
        for size, view in views.items()
    }
    for home, checkpoint, views in zip(runs.homes, runs.checkpoints, runs.views, strict=True):
        say(f"evaluating {checkpoint}")
        for number, size in enumerate(views):
            evaluate_folders(
                [checkpoint],
                evaluators[size],
                plan,
                painting.at(size) if number else painting,
                run=run_of(home),
                home=home,
                name=home.resolve().name,
                more=discriminator_rows,
            )

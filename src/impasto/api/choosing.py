"""Choosing among a model's pictures: `more_like`, `keep` and `favourites`."""

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

from impasto.api.exploring import painter_of
from impasto.errors import ImpastoError
from impasto.evaluation.gather import Progress, silent
from impasto.exploring.favourites import check_name, keep_favourites, load_favourites
from impasto.exploring.likeness import Alike, most_alike
from impasto.features import load_network
from impasto.sampling import Model, find_model
from impasto.sampling.class_choice import class_numbers, labels_of_seeds
from impasto.sampling.model import ModelRecord
from impasto.sampling.point_text import Origin
from impasto.sampling.points import Points
from impasto.sampling.seeds import check_seeds, latents_of_seeds


def more_like(
    model: str | PathLike[str] | Model,
    like: int | str | PathLike[str] | Points,
    among: Iterable[int] = range(1024),
    classes: Mapping[str, str] | None = None,
    *,
    count: int = 15,
    truncation: float | None = None,
    device: str = "auto",
    batch: int = 64,
    progress: Progress = silent,
) -> Alike:
    """Find the pictures of many seeds that are most similar to a given one, by features of `lite0`;
    nearest first.

    Args:
        model: a loaded model, which keeps its device; or a run, a checkpoint, a model folder, a
            model of the hub as `hf:OWNER/NAME`, or the word `masters`.
        like: the given picture: a seed, a point, a file of a point, or a PNG that impasto painted.
        among: seeds to search.
        classes: classes of the seeds' pictures; see `Model.sample`.
        count: number of pictures to find.
        truncation: of the seeds' latents; see `Model.sample`.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures at a time.
        progress: shows the number of pictures that were searched.

    Raises:
        ImpastoError: no model, an unknown class, a seed out of range, or a point of another model.
    """
    painter = painter_of(model, truncation, device, batch)
    chosen = class_numbers(painter.record, classes or {})
    if isinstance(like, int):
        (like,) = check_seeds([like])
        wanted = painter.points([like], painter.labels([like], chosen))
    elif isinstance(like, Points):
        wanted = like.require(painter.record, "the point")
    else:
        wanted = Points.load(like, painter.record)
    seeds = check_seeds(among)
    network = load_network("lite0", device=painter.sampler.device)
    labels = painter.labels(seeds, chosen)
    return most_alike(painter, wanted, seeds, labels, network, count=count, progress=progress)


def favourites(model: str | PathLike[str]) -> dict[str, Points]:
    """The favourites of a model by name, each a point; `walk` takes them.

    Args:
        model: a run, a checkpoint, a model folder, `hf:OWNER/NAME`, or the word `masters`.

    Raises:
        ImpastoError: no model, or a file of favourites that is damaged or of another model.
    """
    folder = find_model(model)
    return load_favourites(folder, ModelRecord.of(folder))


def keep(
    model: str | PathLike[str],
    name: str,
    points: int | Points,
    classes: Mapping[str, str] | None = None,
) -> Path:
    """Add favourites to a model; returns their file, `favourites.json` in the model's folder. That of
    `masters` is in the cache.

    Args:
        model: a run, a checkpoint, a model folder, `hf:OWNER/NAME`, or the word `masters`.
        name: the favourite's name; several points get the names NAME-1, NAME-2, ...
        points: points of this model, such as `invert(...).points`; or a seed.
        classes: classes of the seed's picture; see `Model.sample`.

    Raises:
        ImpastoError: no model, a name that is invalid or taken, an unknown class, or points of another
            model.
    """
    folder = find_model(model)
    record = ModelRecord.of(folder)
    check_name(name)
    if isinstance(points, int):
        seeds = check_seeds([points])
        labels = labels_of_seeds(seeds, record, class_numbers(record, classes or {}))
        latents = latents_of_seeds(seeds, record.latent)
        points = Points.make(record, latents, labels, [Origin(seed=seeds[0])])
    elif classes:
        raise ImpastoError("points have classes of their own: leave out classes")
    return keep_favourites(folder, record, name, points)[0]

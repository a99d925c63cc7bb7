"""`--from auto`: start from the packaged model that is nearest to the collection, if it is near enough.
If there is a larger version of that model, no larger than what is trained, it is taken instead.

The distance is the KID of the collection's pictures to the model's, with features of EfficientNet-Lite0.
Starting from a model saves time if its pictures are similar to the collection's, and costs time if they
are not (benchmarks/starts.py).
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from impasto.collection import Collection, open_or_pack
from impasto.collection.opening import packed_resolutions
from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.evaluation.distance import distance
from impasto.formatting import quoted
from impasto.messages import say
from impasto.registry import load_recipe
from impasto.resolution import Resolution, parse_resolution, square_of, times
from impasto.sampling.model import HUB, Model
from impasto.sampling.records import ModelRecord
from impasto.sampling.shipped import LARGER, SHIPPED, packaged_models
from impasto.training.choosing import FLAGSHIP, READ, USUAL_SIDE, at_side, choose_recipe
from impasto.training.resolve import with_defaults
from impasto.training.run_folder import read_run

AUTO = Path("auto")
_NETWORKS = ("generator", "discriminator", "latent")
"""The sections of a config that weights depend on."""
CHOSEN = "--from auto: "
"""What the line about the choice begins with."""
NEAR = 0.15
"""The largest distance at which a training starts from a model. Measured (benchmarks/starts.py): at
0.065, paintings that the model has not seen, it helps much; at 0.37 and 0.40, drawings, it costs."""


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        model: a run or a model; None: nothing.
        chosen: what `auto` measured and chose, in words, for `run.json`; None: without `auto`.
    """

    model: Path | None
    chosen: str | None = None

    @classmethod
    def announced(cls, chosen: str, model: str | None = None) -> "Start":
        """Print a choice, and return it as a start.

        Args:
            chosen: the choice in words.
            model: name of the chosen model; None: train from scratch.
        """
        say(f"{CHOSEN}{chosen}")
        return cls(None if model is None else Path(model), chosen)


def chosen_start(
    start_from: str | PathLike[str] | None,
    recipe: str | RunConfig | None,
    data: str | Path | Collection | None,
    settings: Mapping[str, Any] | None = None,
    *,
    only: str | None = None,
    run: Path | None = None,
) -> Start:
    """The model to start from: `start_from` itself, or for `auto` the nearest packaged model or none.

    Args:
        start_from: the value of `--from`.
        recipe: as in `train`. The packaged models are flagships, so `auto` gives none for other recipes.
        data: the collection.
        settings: of the training. A packaged model is left out if they, or a config given as recipe,
            ask for other networks than it has.
        only: the condition of the part of the collection that is trained on.
        run: the run's folder. If it exists, the result is what that run started from.

    Raises:
        ImpastoError: the collection cannot be read, or the run is damaged or started otherwise.
    """
    start = None if start_from is None else Path(start_from)
    if start != AUTO or AUTO.exists() or data is None:
        return Start(start)
    if run is not None and (run / "run.json").exists():
        return Start(_start_of(run))
    name = recipe.recipe if isinstance(recipe, RunConfig) else recipe
    if name is not None and not name.startswith(FLAGSHIP):
        return Start.announced(f"from nothing; the models of the package do not fit recipe {name}")
    larger = {name for names in LARGER.values() for name in names}
    models = {name: Model.load(name) for name in packaged_models() if name not in larger}
    wanted = {**_changes_of(recipe), **(settings or {})}
    other = {name: _other_networks(model.record, wanted) for name, model in models.items()}
    if other and all(other.values()):
        return Start.announced(
            f"from nothing; the models of the package have another {min(other.values())} than is set"
        )
    size: Resolution = USUAL_SIDE
    packed = packed_resolutions(data)
    if packed is not None and not any(times(each, USUAL_SIDE) for each in packed):
        size = packed[-1]  # rectangles, or small pictures
    collection = open_or_pack(data, size).only(only)
    distances = {
        name: _distance_to(model, collection) for name, model in models.items() if not other[name]
    }
    nearest = min(distances, key=distances.__getitem__, default=None)
    found = ", ".join(f"{value:.3f} of {name}" for name, value in distances.items())
    if nearest is not None and distances[nearest] > NEAR:
        nearest = None
    if nearest is not None:
        nearest = _largest(nearest, _trained_side(recipe, data, settings or {}))
    return Start.announced(
        f"from {nearest or 'nothing'}; distance of this collection to the pictures (kid-lite0): "
        f"{found}; up to {NEAR} a start helps",
        nearest,
    )


def _trained_side(
    recipe: str | RunConfig | None, data: str | Path | Collection, settings: Mapping[str, Any]
) -> int:
    """The side of the pictures that a training makes; of its first stage, if it grows."""
    if isinstance(recipe, RunConfig):
        while recipe.first_stage is not None:
            recipe = recipe.first_stage
        return square_of(recipe.resolution)
    wanted = settings.get("resolution")
    resolution = load_recipe(choose_recipe(recipe, data, None, wanted))().resolution
    with contextlib.suppress(ValueError):  # one that is no size is an error later
        resolution = resolution if wanted is None else parse_resolution(wanted)
    return square_of(resolution)


def _largest(name: str, side: int) -> str:
    """The largest version of a packaged model whose pictures have at most this side, else the model."""
    for larger in LARGER.get(name, ()):
        present = larger in packaged_models()
        if present and square_of(ModelRecord.of(SHIPPED[larger]).resolution) <= side:
            name = larger
    return name


def _start_of(run: Path) -> Path | None:
    """What a run has started from.

    Raises:
        ImpastoError: the run is damaged, or its start is known by its folder's name only.
    """
    known = read_run(run)[1].get("started_from")
    if known is None:
        return None
    name = str(known["model"])
    if name not in SHIPPED and not name.startswith(HUB):
        raise ImpastoError(
            f"{run} started from another model, '{name}': give its path with --from, or go on with "
            f"impasto resume {quoted(run)}"
        )
    return Path(name)


def _changes_of(recipe: str | RunConfig | None) -> dict[str, Any]:
    """The settings in which a config's networks differ from its recipe's, by dotted name."""
    if not isinstance(recipe, RunConfig):
        return {}
    config, base = with_defaults(recipe), with_defaults(load_recipe(recipe.recipe)())
    found: dict[str, Any] = {}
    for section in _NETWORKS:
        mine, theirs = getattr(config, section), getattr(base, section)
        if mine is None or theirs is None:
            found |= {section: None} if mine is not theirs else {}
            continue
        known = theirs.model_dump(mode="json")
        options = mine.model_dump(mode="json").items()
        found |= {f"{section}.{name}": v for name, v in options if known.get(name) != v}
    return found


def _other_networks(model: ModelRecord, settings: Mapping[str, Any]) -> str:
    """The first setting with which the networks would differ from a model's, so that its weights fit
    only in part; '' if there is none."""
    for name, value in settings.items():
        section, _, option = name.partition(".")
        if section not in _NETWORKS or option in READ:
            continue
        own = getattr(model, section)
        if own is None or not option or own.model_dump(mode="json").get(option) != value:
            return name
    return ""


def _distance_to(model: Model, collection: Collection) -> float:
    """The KID of a collection's pictures to a model's, at the model's size."""
    side = square_of(model.record.resolution)
    return distance(model, collection, at_side(collection.resolution, side))

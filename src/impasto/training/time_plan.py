"""A run for a given time: how many images of which sizes, from a few measured steps.

Without a recipe the flagships train one after another, each from the weights of the one before
(`first_stage`), up to the collection's size. If the run starts from a model, the first one has that
model's size. What is planned is written into the run's config in images, so resuming plans nothing anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.formatting import parse_time, readable_time
from impasto.messages import say
from impasto.processes import Processes
from impasto.resolution import Resolution, recorded, square_of
from impasto.sampling.model import ModelRecord, find_model
from impasto.settings import change
from impasto.training.choosing import (
    FLAGSHIP,
    TrainingChoice,
    at_side,
    choose,
    default_recipe,
)
from impasto.training.estimate import estimate
from impasto.training.resolve import MOST_TIME
from impasto.training.run_folder import read_run
from impasto.training.starting import Start

SIZES = (64, 128, 256)
"""The sides in pixels of the stages."""
SHARES = {64: 0.25, 128: 0.3, 256: 0.45}
"""The share of the time of each stage, before those that are left out are taken away."""
LEAST_IMAGES = 30_000
"""A size that would see fewer images in its time is left out. With 14,000 of 256 pixels, pictures were
not yet as good as smaller ones (docs/notebook.md)."""
MOST_IMAGES = {64: 300_000, 128: 400_000}
"""Of a size that is followed by a larger one, which gets the rest of its time: it learns the same coarse
layers, and by then scores of 64 pixels stand nearly still."""
STARTED = 1 / 3
"""What a stage gets of its share, and of the least images, if the run starts from a model of its size,
which has learned most of it. A guess, not measured."""
TRAINED = 0.93
"""The share of the time for training; the rest is for evaluations (up to 5%), grids and checkpoints."""
PATIENCE = 0.4
"""The share of a stage's images without a better score after which it ends, if it copies."""

LENGTHS = ("training.images", "training.epochs")
"""Settings that a time takes the place of."""


def without_unset_lengths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without lengths that are null; they do not conflict with a given time."""
    return {
        name: value for name, value in settings.items() if name not in LENGTHS or value is not None
    }


@dataclass(frozen=True)
class Stage:
    """A stage of a planned run: its config, measured speed and length in images."""

    config: RunConfig
    images_per_second: float
    images: int

    @property
    def seconds(self) -> float:
        return self.images / self.images_per_second


def divided(
    rates: Mapping[int, float], seconds: float, started: int | None = None
) -> dict[int, int]:
    """Divide a time among the sizes. The largest sizes are left out while one would get too few images.

    Args:
        rates: measured images a second, by size.
        seconds: the time, evaluations included.
        started: the size of the model that the run starts from.

    Returns:
        Images by size; at least the smallest size, however few its images are.
    """
    sizes = sorted(rates)
    part = {size: STARTED if size == started else 1.0 for size in sizes}
    while True:
        shares = {size: SHARES.get(size, 1.0) * part[size] for size in sizes}
        images = _shared(rates, shares, seconds * TRAINED)
        if len(sizes) == 1 or all(images[size] >= LEAST_IMAGES * part[size] for size in sizes):
            return images
        sizes.pop()


def _shared(
    rates: Mapping[int, float], shares: Mapping[int, float], seconds: float
) -> dict[int, int]:
    """Images by size, for all sizes with a share, the smallest first. Time that is left at a size's most
    images goes to the larger ones."""
    images: dict[int, int] = {}
    sizes = list(shares)
    for place, size in enumerate(sizes):
        whole = sum(shares[each] for each in sizes[place:])
        count = int(rates[size] * seconds * shares[size] / whole)
        images[size] = min(count, MOST_IMAGES[size]) if size != sizes[-1] else count
        seconds -= images[size] / rates[size]
    return images


def chained(stages: Sequence[Stage]) -> RunConfig:
    """The config of a run in these stages, each of which starts from the weights of the one before. A
    stage ends early if its scores stop improving and training pictures are copied."""
    config: RunConfig | None = None
    for stage in stages:
        before = None if config is None else config.model_dump(mode="json")
        lengths = {"training.images": stage.images, "training.epochs": None}
        changes = {**lengths, **_patience(stage), "first_stage": before}
        config = change(stage.config, changes)
    assert config is not None
    return config


def _patience(stage: Stage) -> dict[str, Any]:
    """The settings that let a stage end early. Empty if the user chose other ones, or if the stage is
    too short to be evaluated more than once."""
    chosen = stage.config.evaluation
    if chosen.every == 0 or chosen.patience is not None or stage.images < LEAST_IMAGES:
        return {}
    share = MOST_TIME if chosen.every is None else None
    return {
        "evaluation.patience": int(PATIENCE * stage.images),
        "evaluation.only_if_copying": True,
        "evaluation.most_time": chosen.most_time or share,
    }


def choose_in(
    processes: Processes,
    recipe: str | RunConfig | None,
    data: Any,
    settings: Mapping[str, Any],
    *,
    time: str | None,
    device: str,
    run: Path | None = None,
    only: str | None = None,
    **options: Any,
) -> TrainingChoice:
    """Choose the config and the collection, for a given time if there is one; see `choose`.

    A run that was planned before goes on as it was planned.
    """
    if time is None:
        return processes.local_first(partial(choose, recipe, data, settings, only=only, **options))
    if run is not None and processes.on_first((run / "run.json").exists):
        config, _ = processes.on_first(lambda: read_run(run))
        return processes.local_first(partial(choose, config, data, {}, only=only))
    options["only"] = only
    seconds = parse_time(time)
    return plan(recipe, data, settings, seconds, device=device, processes=processes, **options)


def planned(start: Start, time: str | None) -> dict[str, Any]:
    """The entries of `run.json` about planning: the choice of `--from auto`, and `--time` in seconds."""
    chosen = {} if start.chosen is None else {"chosen_start": start.chosen}
    return chosen if time is None else {**chosen, "planned_seconds": parse_time(time)}


def plan(
    recipe: str | RunConfig | None,
    data: Any,
    settings: Mapping[str, Any],
    seconds: float,
    *,
    device: str,
    processes: Processes,
    start_from: Path | None = None,
    **options: Any,
) -> TrainingChoice:
    """Choose what to train in a given time; of several processes, all call this.

    Args:
        recipe: as for `choose`; None: the flagships, as many as there is time for.
        data: the collection.
        settings: by dotted names, for all sizes.
        seconds: the time.
        device: on which steps are measured.
        processes: with which steps are measured.
        start_from: a model to start from. Without a recipe, sizes from this model's up are trained.
        options: further ones of `choose`.

    Raises:
        ImpastoError: as `choose` and `estimate`; or a length is set too.
    """
    settings = without_unset_lengths(settings)
    if settings.keys() & set(LENGTHS) or options.get("images") is not None:
        raise ImpastoError("--time says how long to train: leave out --images and training.images")

    def select(
        recipe: str | RunConfig | None, data: Any, size: Resolution | None = None
    ) -> TrainingChoice:
        sized = {} if size is None else {"resolution": recorded(size)}
        return choose(recipe, data, {**settings, **sized}, start_from=start_from, **options)

    one = recipe is not None or "resolution" in settings
    model = None if start_from is None else processes.local_first(partial(_side, start_from))
    choices = _choices(select, recipe, data, processes, one=one, least=model or 0)
    rates = _rates(choices, device, start_from, processes)
    if len(choices) == 1:
        images = {side: int(rate * seconds * TRAINED) for side, rate in rates.items()}
    else:
        images = divided(rates, seconds, model)
    images = processes.on_first(lambda: images)  # all go by the first one's measurements
    planned = [
        Stage(choices[side].config, rates[side], max(count, 1)) for side, count in images.items()
    ]
    left_out = {
        choices[side].config.resolution: rates[side] for side in rates if side not in images
    }
    for line in (*map(_in_words, planned), *_left_out(left_out)):
        say(line)
    last = choices[square_of(planned[-1].config.resolution)]
    return replace(last, config=chained(planned))


def _rates(
    choices: Mapping[int, TrainingChoice],
    device: str,
    start_from: Path | None,
    processes: Processes,
) -> dict[int, float]:
    """Images a second of each size, from a few steps. The smallest size starts from the model."""
    rates: dict[int, float] = {}
    for side, choice in choices.items():
        start = None if rates else start_from
        found = estimate(
            choice.config, choice.collection, device, start_from=start, processes=processes
        )
        rates[side] = found.images_per_second
    return rates


def _choices(
    select: Callable[..., TrainingChoice],
    recipe: str | RunConfig | None,
    data: Any,
    processes: Processes,
    *,
    one: bool,
    least: int,
) -> dict[int, TrainingChoice]:
    """The choices by size, the smallest first.

    There is one size for pictures of several proportions, and for a starting model that is no flagship
    or has more pixels than the collection.

    A size is the side of a square; for rectangles that of the square with about as many pixels.

    Args:
        select: chooses the config and the collection, of a size if one is given.
        recipe: as of `plan`.
        data: the collection.
        processes: that train together.
        one: whether only one size is wanted.
        least: the smallest side.
    """
    whole = processes.local_first(partial(select, recipe, data))
    found = {square_of(whole.config.resolution): whole}
    if one or whole.config.buckets or not whole.config.recipe.startswith(FLAGSHIP):
        return found
    # What is chosen for a starting model may be smaller.
    largest = int(processes.local_first(partial(default_recipe, data)).removeprefix(FLAGSHIP))
    for side in (side for side in SIZES if least <= side <= largest and side not in found):
        sizes = [size for each in whole.collection.resolutions if (size := at_side(each, side))]
        if sizes:
            found[side] = processes.local_first(partial(select, None, data, size=sizes[-1]))
    return dict(sorted(found.items()))


def _side(model: Path) -> int:
    """The side of a model's pictures, in pixels."""
    return square_of(ModelRecord.of(find_model(model)).resolution)


def _in_words(stage: Stage) -> str:
    return (
        f"{stage.config.resolution} pixels: {stage.images:,} images, "
        f"{readable_time(stage.seconds)} at {stage.images_per_second:.1f} images a second"
    )


def _left_out(rates: Mapping[Resolution, float]) -> list[str]:
    return [
        f"{size} pixels: left out; at {rate:.1f} images a second it would see fewer than "
        f"{LEAST_IMAGES:,}"
        for size, rate in rates.items()
    ]

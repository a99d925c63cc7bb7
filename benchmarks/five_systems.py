"""The five works' systems side by side: the same pictures, the same CPU time, one thread each.

    python -m benchmarks.five_systems [--seconds 1200] [--data masters] [--side 64] [--out grids]
        [SYSTEM ...]

Each trains for so many CPU-seconds (two cores need half as long), a two-stage one half of them in each
stage. Sizes are scaled down so that there are enough steps in ten minutes for something to show; what
makes each system itself is as its recipe has it. Printed: images and steps, the discriminator's
accuracies at the end, how far the class and how far the latent changes a picture (root mean square over
16x16 averages, whole range = 1), and two Fréchet distances on pixels, see benchmarks/first_look.py. The
grids in `--out` (64 pictures; a row a latent and a column a class) decide with them.

A collection without a recipe's label field is trained on with its first one. Clip art by folder, for
one: Debian's package openclipart-png, some of its folders packed with `impasto pack FOLDERS clipart-64
--fit pad`, then `--data clipart-64 --side 32`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks._command import run
from benchmarks._judging import spread
from benchmarks.first_look import frechet, layout_of, pictures_of, texture_of
from impasto.collection import Collection, open_or_pack
from impasto.config import RunConfig
from impasto.files import write_text
from impasto.registry import load_recipe
from impasto.resolution import short_side
from impasto.sampling import Sampler, latents_of_seeds
from impasto.sampling.output import save_grid
from impasto.sampling.pixels import to_uint8
from impasto.settings import change, parse_settings
from impasto.training import checkpoint
from impasto.training.records import Averages
from impasto.training.resolve import resolve
from impasto.training.session import Session

NARROW = {"generator.width": 32, "discriminator.width": 32}
EMA = {"training.ema_half_life": 1_000, "training.ema_rampup": 0.05}
CRITIC = {
    **NARROW,
    **EMA,
    "training.batch": 16,
    "training.pretrain_images": 3_200,
    # As published, with five critic steps and 1e-4, 300 CPU-seconds are 270 generator steps, after
    # which neither pictures nor classes are to be seen.
    "training.discriminator_steps": 2,
    "generator_optimiser.learning_rate": 4e-4,
    "discriminator_optimiser.learning_rate": 4e-4,
}
TWO_STAGES = {
    "generator.width": 32,
    "generator.blocks": 2,
    "discriminator.width": 32,
    "training.batch": 8,
    **EMA,
    "first_stage.generator.width": 16,
    "first_stage.discriminator.width": 32,
    "first_stage.training.batch": 16,
    **{f"first_stage.{name}": value for name, value in EMA.items()},
}
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "wikiart_dcgan": ("wikiart_dcgan", {"training.batch": 32, **NARROW, **EMA}),
    "ukiyoe_dcgan_v3": ("ukiyoe_dcgan_v3", {"training.batch": 32, **NARROW, **EMA}),
    "gangogh": ("gangogh", CRITIC),
    "gangogh, as published": ("gangogh", {**CRITIC, "training.discriminator_steps": 5,
        "generator_optimiser.learning_rate": 1e-4, "discriminator_optimiser.learning_rate": 1e-4}),
    "gangogh, no pretraining": ("gangogh", {**CRITIC, "training.pretrain_images": 0}),
    "gangogh_style_genre": ("gangogh_style_genre", CRITIC),
    "gangogh_256": ("gangogh_256", {**CRITIC, "training.batch": 8, "training.pretrain_images": 800,
        "generator.blocks": 2, **{f"first_stage.{name}": value for name, value in CRITIC.items()}}),
    "artgan": ("artgan", {"training.batch": 32, **NARROW, **EMA}),
    "artgan_tricks": ("artgan_tricks", {"training.batch": 32, **NARROW, **EMA}),
    "artgan, noise on both": ("artgan_tricks", {"training.batch": 32, **NARROW, **EMA,
        "training.real_noise": 0.5, "training.fake_noise": 0.5}),
    "artgan_published": ("artgan_published", {"resolution": 128, "training.batch": 16,
        "generator.width": 16, "discriminator.width": 32, **EMA}),
    "gantor_v1": ("gantor_v1", TWO_STAGES),
    "gantor_v2": ("gantor_v2", TWO_STAGES),
    "gantor_v2 as the poster": ("gantor_v2", {**TWO_STAGES,
        "objective.bce.only": "discriminator", "first_stage.objective.bce.only": "discriminator"}),
}  # fmt: skip


def small(
    name: str, data: str, side: int | None, settings: list[str]
) -> tuple[RunConfig, Collection]:
    """A system's recipe at the size of this benchmark, and the collection to train it on."""
    recipe, changes = SYSTEMS[name]
    config: RunConfig = change(load_recipe(recipe)(), {**changes, **parse_settings(settings)})
    if side is not None:
        assert config.discriminator is not None
        twice = config.first_stage is not None or "pool" in config.discriminator.options
        more = {"resolution": 2 * side if twice else side}
        if config.first_stage is not None:
            more["first_stage.resolution"] = side
        config = change(config, more)
    collection = open_or_pack(data, config.resolution)
    there = [field.name for field in collection.fields]
    if config.labels and not set(config.labels) <= set(there):
        balance = there[0] if config.training.balance else None
        config = change(config, {"labels": there[:1], "training.balance": balance})
        if config.first_stage is not None and config.first_stage.training.balance:
            config = change(config, {"first_stage.training.balance": there[0]})
    return config, collection


def _play(session: Session, seconds: float) -> list[dict[str, float]]:
    """Train for so many CPU-seconds; the statistics of each of twenty parts of them."""
    averages, began = Averages(), time.process_time()
    rows: list[dict[str, float]] = []
    while (spent := time.process_time() - began) < seconds:
        if spent > (len(rows) + 1) * seconds / 20:
            rows.append({"images_seen": session.state.images_seen, **averages.read()})
        averages.add(session.trainer.step())
    return [*rows, {"images_seen": session.state.images_seen, **averages.read()}]


def _paint(session: Session, latents: Tensor, labels: Tensor) -> Tensor:
    sampler = Sampler(session.state.average, session.config.latent)
    pairs = zip(latents.split(50), labels.split(50), strict=True)
    return torch.cat([sampler.images(*some) for some in pairs])


def _keep(out: Path | None, slug: str, session: Session, rows: list[dict[str, float]]) -> None:
    """Keep a system's statistics, and its model to sample from: `impasto sample OUT/SLUG/...`."""
    if out is None:
        return
    write_text(out / f"{slug}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    checkpoint.save(out / slug, session.state, session.model_record())


def train_for(
    name: str, config: RunConfig, collection: Collection, seconds: float, out: Path | None
) -> str:
    """One system's row of the table."""
    slug = name.replace(",", "").replace(" ", "-")
    config = resolve(config, collection)
    session = Session(config, collection, torch.device("cpu"))
    if config.first_stage is not None:
        seconds /= 2
        first = Session(config.first_stage, collection, torch.device("cpu"))
        _keep(out, f"{slug}-stage-1", first, _play(first, seconds))
        session.state.begin_with(first.state.average.state_dict())
    rows = _play(session, seconds)
    _keep(out, slug, session, rows)
    row = rows[-1]
    latents = latents_of_seeds(range(1000), config.latent)
    _, labels = session.pictures.fixed(1000)
    fakes = _paint(session, latents, labels)
    side = min(64, short_side(config.resolution))
    places = np.random.default_rng(0).permutation(collection.train_indices)[:2000]
    reals = torch.cat(
        [
            F.adaptive_avg_pool2d(pictures_of(collection.images(some)), side)
            for some in np.array_split(places, 20)
        ]
    )
    apart = "               "
    for field, grid in session.class_grids.items():
        painted = _paint(session, *grid.inputs(latents[: grid.rows]))
        by_row = painted.unflatten(0, (grid.rows, len(grid.classes)))
        apart = f"{spread(by_row, 1):>7.3f} {spread(by_row, 0):>7.3f}"
        if out is not None:
            path = out / f"{slug}-{field}.png"
            pixels = to_uint8(painted).numpy()
            save_grid(path, pixels, columns=len(grid.classes), above=grid.classes)
    if out is not None:
        save_grid(out / f"{slug}.png", to_uint8(fakes[:64]).numpy())
    fakes = F.adaptive_avg_pool2d(fakes, side)
    accuracies = [row.get(f"accuracy/{key}", float("nan")) for key in ("real", "fake")]
    for kind in ("real", "fake"):
        named = [row.get(f"accuracy/{field}/{kind}", float("nan")) for field in config.labels[:1]]
        accuracies += named or [float("nan")]
    return (
        f"{name:<22} {session.state.images_seen:>8} {session.state.steps:>6} "
        + " ".join(f"{value:>6.2f}" for value in accuracies)
        + f" {apart} {frechet(layout_of(fakes), layout_of(reals)):>7.2f} "
        f"{frechet(texture_of(fakes), texture_of(reals)):>7.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("systems", nargs="*", help="; ".join(SYSTEMS))
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--data", default="masters")
    parser.add_argument("--side", type=int, help="of the pictures; of stage I, where there are two")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{'':<22} {'images':>8} {'steps':>6}   real   fake  class  asked   class  latent  layout "
        "texture",
        flush=True,
    )
    for name in options.systems or SYSTEMS:
        config, collection = small(name, options.data, options.side, options.set)
        print(train_for(name, config, collection, options.seconds, options.out), flush=True)


if __name__ == "__main__":
    run(main)

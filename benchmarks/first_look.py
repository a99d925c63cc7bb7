"""How `first_look` was chosen: variants of it, and the five works' DCGAN, for the same CPU time.

    python -m benchmarks.first_look [--seconds 300] [--out grids] [VARIANT ...]

Each variant trains on the tiles of the 21 paintings on one thread for so many CPU-seconds (two
cores need half as long), one after another. Printed, each against 2,000 training pictures, smaller
is better:
- layout: Fréchet distance between Gaussians fitted to the pictures averaged to 8x8 (Heusel et al.
  2017, arXiv:1706.08500, equation 6, on pixels in [-1, 1] instead of features): colour and
  composition;
- texture: the same on 27-d statistics of fine detail (mean and mean absolute first differences, and
  their spread, per channel and direction);
and the images seen. Neither looks through a network, so neither favours one; both are blind to
meaning, so the grids in `--out` decide with them.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks._command import run
from impasto.collection import Collection, open_or_pack
from impasto.registry import load_recipe
from impasto.sampling import Sampler, latents_of_seeds
from impasto.sampling.output import save_grid
from impasto.sampling.pixels import as_images, to_uint8
from impasto.settings import change
from impasto.training.resolve import resolve
from impasto.training.session import Session

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "first_look": ("first_look", {}),
    "batch 32": ("first_look", {"training.batch": 32}),
    "batch 8": ("first_look", {"training.batch": 8}),
    "batch 64": ("first_look", {"training.batch": 64}),
    "narrower": ("first_look", {"generator.widest": 192, "generator.narrowest": 24,
                                "discriminator.narrowest": 24, "discriminator.widest": 192}),
    "rates 2e-4": ("first_look", {"generator_optimiser.learning_rate": 2e-4,
                                  "discriminator_optimiser.learning_rate": 2e-4}),
    "rates 1e-3": ("first_look", {"generator_optimiser.learning_rate": 1e-3,
                                  "discriminator_optimiser.learning_rate": 1e-3}),
    "D twice as fast": ("first_look", {"discriminator_optimiser.learning_rate": 1e-3}),
    "wider D": ("first_look", {"discriminator.narrowest": 64}),
    "bce": ("first_look", {"objective": [{"term": "bce"}]}),
    "beta1 0.5": ("first_look", {"generator_optimiser.betas": [0.5, 0.99],
                                 "discriminator_optimiser.betas": [0.5, 0.99]}),
    "no EMA": ("first_look", {"training.ema_half_life": 0}),
    "EMA 5000, no ramp-up": ("first_look", {"training.ema_rampup": None}),
    "DCGAN of ukiyoe_dcgan_v1": ("ukiyoe_dcgan_v1", {}),
    "DCGAN, batch 32": ("ukiyoe_dcgan_v1", {"training.batch": 32}),
}  # fmt: skip


def layout_of(images: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(images, 8).flatten(1)


def texture_of(images: Tensor) -> Tensor:
    across, down = images.diff(dim=3).abs(), images.diff(dim=2).abs()
    parts = [images, across, down]
    means = [part.mean(dim=(2, 3)) for part in parts]
    spreads = [part.std(dim=(2, 3)) for part in parts]
    peaks = [part.flatten(2).quantile(0.95, dim=2) for part in parts]
    return torch.cat([*means, *spreads, *peaks], dim=1)


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to rows [N, D]."""
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    return float(means + cov_a.trace() + cov_b.trace() - 2 * cross)


def pictures_of(images: np.ndarray) -> Tensor:
    return as_images(torch.from_numpy(images))


def train_for(name: str, collection: Collection, seconds: float, out: Path | None) -> str:
    recipe, settings = VARIANTS[name]
    config = resolve(change(load_recipe(recipe)(), settings), collection)
    session = Session(config, collection, torch.device("cpu"))
    began = time.process_time()
    while time.process_time() - began < seconds:
        session.trainer.step()
    sampler = Sampler(session.state.average, config.latent)
    latents = latents_of_seeds(range(2000), config.latent)
    fakes = torch.cat([sampler.images(part) for part in latents.split(100)])
    rows = np.random.default_rng(0).permutation(collection.train_indices)[:2000]
    reals = pictures_of(collection.images(rows))
    if out is not None:
        save_grid(out / f"{name.replace(' ', '-')}.png", to_uint8(fakes[:64]).numpy())
    layout = frechet(layout_of(fakes), layout_of(reals))
    texture = frechet(texture_of(fakes), texture_of(reals))
    return f"{name:<26} {session.state.images_seen:>8} {layout:>8.2f} {texture:>8.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("variants", nargs="*", help="; ".join(VARIANTS))
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    collection = open_or_pack("masters", 64)
    random = np.random.default_rng(1).permutation(collection.train_indices)
    halves = [pictures_of(collection.images(half)) for half in (random[:2000], random[2000:4000])]
    print(f"{'':<26} {'images':>8} {'layout':>8} {'texture':>8}")
    layout = frechet(layout_of(halves[0]), layout_of(halves[1]))
    texture = frechet(texture_of(halves[0]), texture_of(halves[1]))
    print(f"{'real against real':<26} {'':>8} {layout:>8.2f} {texture:>8.3f}", flush=True)
    for name in options.variants or VARIANTS:
        print(train_for(name, collection, options.seconds, options.out), flush=True)


if __name__ == "__main__":
    run(main)

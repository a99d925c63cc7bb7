"""Packing against the usual way: images a second, and how far the pixels differ.

    python benchmarks/packing.py [--pictures 400] [--rounds 5] [--folder DIR]

makes JPEGs of 1200 to 2000 px from the masters (enlarged, with texture added so that they weigh
about as much a pixel as WikiArt's files do, some 0.2 to 0.25 bytes; made once, then reused) and
times by turns, to 64 px:

(a) the usual way: Pillow decodes each picture in full and shrinks it by Lanczos, one process;
(b) `pack` as shipped with two workers: starting them, hashing, reports and writing included;
(c) `pack` in one process.

Prints the median of each, the ratios, and the PSNR of (b) and (c) against (a). Where other work runs
on the machine, pictures a second of processor time (all processes together) tell more than pictures
a second. The bar: (b) at least 3 times (a), and 40 dB.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.collection import PackOptions, pack
from impasto.collection.packing import MASTERS

RESOLUTION = 64


def make_pictures(folder: Path, count: int) -> list[Path]:
    """`count` JPEGs of 1200 to 2000 px on the long side; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    masters = sorted(MASTERS.glob("*.jpg"))
    paths = [folder / f"{number:04}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if path.exists():
            continue
        random = np.random.default_rng(number)
        with Image.open(masters[number % len(masters)]) as opened:
            width, height = opened.size
            # A part of the painting, so that no two pictures are the same.
            share = random.uniform(0.6, 1.0)
            left = random.uniform(0, width * (1 - share))
            top = random.uniform(0, height * (1 - share))
            box = (left, top, left + width * share, top + height * share)
            scale = random.uniform(1200, 2000) / max(width, height)
            size = (round(width * scale), round(height * scale))
            picture = opened.resize(size, Image.Resampling.BICUBIC, box=box)
        # Grain of one pixel and weave of a few, as canvas and paper have.
        grain = random.normal(0, 3, (size[1], size[0], 1))
        weave = Image.fromarray(random.normal(0, 5, (size[1] // 3 + 1, size[0] // 3 + 1)))
        weave_pixels = np.asarray(weave.resize(size, Image.Resampling.BICUBIC))[:, :, None]
        pixels = np.asarray(picture).astype(np.float64) + grain + weave_pixels
        temporary = path.with_suffix(".tmp")
        Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(
            temporary, "JPEG", quality=90
        )
        temporary.replace(path)
    return paths


def usual(paths: list[Path]) -> np.ndarray:
    """Full decode and Lanczos, a picture at a time: uint8 [N, R, R, 3]."""
    made = []
    for path in paths:
        with Image.open(path) as opened:
            side = min(opened.size)
            left, top = (opened.width - side) / 2, (opened.height - side) / 2
            square = opened.convert("RGB").resize(
                (RESOLUTION, RESOLUTION),
                Image.Resampling.LANCZOS,
                box=(left, top, left + side, top + side),
            )
        made.append(np.asarray(square))
    return np.stack(made)


def packed(folder: Path, workers: int) -> np.ndarray:
    """The same with `pack`."""
    with tempfile.TemporaryDirectory() as temporary:
        options = PackOptions(resolution=RESOLUTION, workers=workers)
        collection = pack(folder, Path(temporary, "packed"), options).collection
        return collection.images(np.arange(len(collection)))


def psnr(pictures: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each picture in dB, [N]."""
    error = (pictures.astype(np.float64) - reference.astype(np.float64)) ** 2
    return 10 * np.log10(255**2 / np.maximum(error.mean(axis=(1, 2, 3)), 1e-9))


def processor_seconds() -> float:
    """Processor time of this process and of those it has started and seen end."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the JPEGs are kept for the next time")
    arguments = parser.parse_args()
    folder = arguments.folder or (
        Path(tempfile.gettempdir()) / f"impasto-benchmark-packing-{arguments.pictures}"
    )
    paths = make_pictures(folder, arguments.pictures)
    kilobytes = statistics.mean(path.stat().st_size for path in paths) / 1000
    print(
        f"{len(paths)} JPEGs of {kilobytes:.0f} kB on average in {folder}; {os.cpu_count()} cores"
    )

    ways: dict[str, Callable[[], np.ndarray]] = {
        "a  full decode + Lanczos, 1 process": lambda: usual(paths),
        "b  impasto pack, 2 workers": lambda: packed(folder, 2),
        "c  impasto pack, 1 process": lambda: packed(folder, 1),
    }
    for way in ways.values():  # The disk's cache is warm for all of them alike.
        pixels = way()
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, np.ndarray] = {}
    for number in range(arguments.rounds):
        for name, way in ways.items():
            began, busy = time.perf_counter(), processor_seconds()
            pixels = way()
            speeds[name].append(len(paths) / (time.perf_counter() - began))
            costs[name].append(len(paths) / (processor_seconds() - busy))
            results[name] = pixels
        said = "  ".join(f"{name[0]} {speed[-1]:.1f}" for name, speed in speeds.items())
        load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print(f"round {number + 1}: {said} images/s  {load}", flush=True)

    first, *others = ways
    for what, measured in (("s", speeds), ("processor second", costs)):
        base = statistics.median(measured[first])
        for name in ways:
            speed = statistics.median(measured[name])
            print(f"{name}: {speed:.1f} images/{what}, {speed / base:.2f} times (a)")
    for name in others:
        decibels = psnr(results[name], results[first])
        print(
            f"{name[0]} against a: PSNR mean {decibels.mean():.1f} dB, worst {decibels.min():.1f}"
        )


if __name__ == "__main__":
    main()

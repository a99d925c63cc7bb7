"""Packing against the usual ways: images a second, and how far the pixels differ; and the loader.

    python benchmarks/packing.py [--pictures 1000] [--rounds 5] [--resolutions 64 256] [--folder DIR]

makes JPEGs of 1200 to 2000 px from the masters (enlarged, with texture added so that they weigh
about as much a pixel as WikiArt's files do, some 0.2 to 0.25 bytes; made once, then reused) and
times by turns, to 64 and to 256 px:

(a) Pillow: decodes each picture in full and shrinks it by Lanczos, one process, nothing is written;
(b) the converter that users know, as StyleGAN's dataset tool works: each picture is decoded in full,
    cropped to its centre, shrunk by Lanczos and written as a PNG into a zip archive that does not
    compress, one process;
(c) `pack` as shipped with two workers: starting them, hashing, finding duplicates and writing
    included;
(d) `pack` in one process.

Prints the median of each, the ratios to (b), and the PSNR of (c) against (a). Where other work runs
on the machine, pictures a second of processor time (all processes together) tell more than pictures
a second. The bar: at 64 px (c) is at least 6 times (b), and 40 dB from (a).

Then it prints how many pictures a second the loader gives, from what (c) has packed: random batches
of 64, one process.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._command import run
from impasto.collection import Collection, PackOptions, pack
from impasto.collection.packing import MASTERS

BATCH = 64
LOADING_SECONDS = 2.0


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


Pictures = dict[str, np.ndarray]
"""Square pictures, uint8 [R, R, 3], by the names of the files that they were made of."""


def centre(opened: Image.Image) -> tuple[float, float, float, float]:
    side = min(opened.size)
    left, top = (opened.width - side) / 2, (opened.height - side) / 2
    return (left, top, left + side, top + side)


def by_pillow(paths: list[Path], resolution: int) -> Pictures:
    """(a)"""
    made = {}
    for path in paths:
        with Image.open(path) as opened:
            square = opened.convert("RGB").resize(
                (resolution, resolution), Image.Resampling.LANCZOS, box=centre(opened)
            )
        made[path.name] = np.asarray(square)
    return made


def by_converter(paths: list[Path], resolution: int) -> None:
    """(b)"""
    with (
        tempfile.TemporaryDirectory() as temporary,
        zipfile.ZipFile(Path(temporary, "pictures.zip"), "w", zipfile.ZIP_STORED) as archive,
    ):
        for path in paths:
            with Image.open(path) as opened:
                pixels = np.asarray(opened.convert("RGB"))
                left, top, right, bottom = (int(edge) for edge in centre(opened))
            square = Image.fromarray(pixels[top:bottom, left:right])
            small = square.resize((resolution, resolution), Image.Resampling.LANCZOS)
            png = io.BytesIO()
            small.save(png, "PNG", compress_level=0)
            archive.writestr(f"{path.stem}.png", png.getvalue())


def by_pack(folder: Path, destination: Path, resolution: int, workers: int) -> Collection:
    """(c) and (d)"""
    return pack(folder, destination, PackOptions(resolution=resolution, workers=workers)).collection


def pictures_of(collection: Collection) -> Pictures:
    """What was packed; where several look the same, only one is there."""
    names = [row["path"] for row in collection.source_table()]
    pixels = collection.images(np.arange(len(collection)))
    return {names[source]: pixels[row] for row, source in enumerate(collection.sources)}


def loading_speed(collection: Collection) -> float:
    """Pictures a second, in random batches."""
    random = np.random.default_rng(0)
    collection.images(np.arange(len(collection)))
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < LOADING_SECONDS:
        count += len(collection.images(random.integers(0, len(collection), BATCH)))
    return count / (time.perf_counter() - began)


def psnr(pictures: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each picture in dB, [N]."""
    error = (pictures.astype(np.float64) - reference.astype(np.float64)) ** 2
    return 10 * np.log10(255**2 / np.maximum(error.mean(axis=(1, 2, 3)), 1e-9))


def processor_seconds() -> float:
    """Processor time of this process and of those it has started and seen end."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def race(paths: list[Path], resolution: int, rounds: int) -> None:
    """Time all ways to one resolution by turns, and print what came of it."""
    print(f"\nto {resolution} px")
    folder = paths[0].parent
    reference: Pictures = {}
    found: Pictures = {}
    loaded: list[float] = []
    stopped: list[tuple[float, float]] = []

    def packing(workers: int) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            collection = by_pack(folder, Path(temporary, "packed"), resolution, workers)
            stopped.append(clocks())  # What follows is no part of packing.
            if workers > 1:
                found.update(pictures_of(collection))
                loaded.append(loading_speed(collection))

    ways: dict[str, Callable[[], object]] = {
        "a  Pillow, full decode + Lanczos, 1 process": lambda: reference.update(
            by_pillow(paths, resolution)
        ),
        "b  the usual converter, PNG into a zip, 1 process": lambda: by_converter(
            paths, resolution
        ),
        "c  impasto pack, 2 workers": lambda: packing(2),
        "d  impasto pack, 1 process": lambda: packing(1),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):  # The first warms the disk's cache, and is not counted.
        for name, way in ways.items():
            stopped.clear()
            began, busy = clocks()
            way()
            stopped.append(clocks())
            ended, spent = stopped[0]
            speeds[name].append(len(paths) / (ended - began))
            costs[name].append(len(paths) / (spent - busy))
        said = "  ".join(f"{name[0]} {speed[-1]:.1f}" for name, speed in speeds.items())
        load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print(f"round {number}: {said} images/s  {load}", flush=True)

    base = next(name for name in ways if name.startswith("b"))
    for what, measured in (("s", speeds), ("processor second", costs)):
        medians = {name: statistics.median(values[1:]) for name, values in measured.items()}
        for name, speed in medians.items():
            print(f"{name}: {speed:.1f} images/{what}, {speed / medians[base]:.2f} times (b)")
    ratios = [
        c / b for c, b in zip(*(list(speeds.values())[way][1:] for way in (2, 1)), strict=True)
    ]
    print(f"c / b by round: {', '.join(f'{ratio:.1f}' for ratio in ratios)}")
    names = sorted(found)
    decibels = psnr(
        np.stack([found[name] for name in names]), np.stack([reference[name] for name in names])
    )
    print(
        f"c against a, {len(names)} pictures: PSNR mean {decibels.mean():.1f} dB, "
        f"worst {decibels.min():.1f}"
    )
    print(f"loader: {statistics.median(loaded):,.0f} images/s, batches of {BATCH}")


def clocks() -> tuple[float, float]:
    return time.perf_counter(), processor_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[64, 256])
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
    for resolution in arguments.resolutions:
        race(paths, resolution, arguments.rounds)


if __name__ == "__main__":
    run(main)

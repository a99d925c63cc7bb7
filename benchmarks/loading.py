"""Random batches from the packed form against files: pictures a second of one core.

    python -m benchmarks.loading [--source masters] [--fit tiles] [--rounds 5] [--batches 8]

packs a source at 64 and 256 px, as `pack` stores them by itself (raw and WebP without loss), and at
256 px raw and as JPEG; writes the same pictures as PNG and JPEG files (quality 95, 4:4:4), as they
lie in folders elsewhere; and reads the same random batches of 64 from each by turns: a folder's
files are opened and decoded by Pillow, one after another.

Prints, for each, the bytes a picture takes on disk, the medians over the rounds of pictures a second
and of pictures a second of processor time (all threads together: where other work runs on the
machine, this tells more), and the ratio of the latter to PNG files of the same size. All is in the
page cache: what a slow disk adds goes by the bytes.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._command import run
from impasto.collection import Collection, PackOptions, pack
from impasto.decoding.workers import available_cores
from impasto.resolution import short_side

BATCH = 64
SIDES = (64, 256)


@dataclass
class Way:
    """One way to read pictures."""

    name: str
    side: int
    read: Callable[[np.ndarray], np.ndarray]
    """From indices [B] to uint8 [B, R, R, 3]."""
    bytes_each: float
    elapsed: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    """Pictures a second of each round."""


def packed(name: str, collection: Collection) -> Way:
    """The packed pictures of one resolution."""
    files = (collection.path / str(row[0]) for row in collection.fingerprint())
    size = sum(path.stat().st_size for path in files if path.name.startswith("images"))
    return Way(name, short_side(collection.resolution), collection.images, size / len(collection))


def files(name: str, collection: Collection, folder: Path, suffix: str) -> Way:
    """The same pictures as files, written here."""
    folder.mkdir()
    paths = [folder / f"{number:06}{suffix}" for number in range(len(collection))]
    for number, path in enumerate(paths):
        picture = Image.fromarray(collection.images(np.array([number]))[0])
        if suffix == ".jpg":
            picture.save(path, quality=95, subsampling=0)
        else:
            picture.save(path)

    def read(indices: np.ndarray) -> np.ndarray:
        pixels = []
        for index in indices:
            with Image.open(paths[index]) as opened:
                pixels.append(np.asarray(opened.convert("RGB")))
        return np.stack(pixels)

    size = sum(path.stat().st_size for path in paths)
    return Way(name, short_side(collection.resolution), read, size / len(paths))


def ways(folder: Path, source: str, fit: str) -> list[Way]:
    """Pack, and write the files."""

    def make(encoding: str) -> Collection:
        options = PackOptions(
            resolution=max(SIDES), smaller=SIDES[:-1], fit=fit, encoding=encoding, labels=()
        )
        return pack(source, folder / encoding, options).collection

    auto, raw, jpeg = make("auto"), make("raw"), make("jpeg")
    made = [packed("packed, raw", raw.at(64))]
    made += [packed("packed, raw", raw), packed("packed, WebP without loss", auto)]
    made += [packed("packed, JPEG", jpeg)]
    for side in SIDES:
        made += [
            files("files, PNG", raw.at(side), folder / f"png-{side}", ".png"),
            files("files, JPEG", raw.at(side), folder / f"jpg-{side}", ".jpg"),
        ]
    return sorted(made, key=lambda way: way.side)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--source", default="masters")
    parser.add_argument("--fit", default="tiles")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8, help="of 64, a round")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        made = ways(Path(folder), given.source, given.fit)
        count = len(Collection.open(Path(folder) / "raw"))
        for round in range(given.rounds + 1):
            batches = random.integers(0, count, (given.batches, BATCH))
            for way in made:
                began, spent = time.perf_counter(), time.process_time()
                for batch in batches:
                    assert len(way.read(batch)) == BATCH
                if round:  # the first only fills the page cache
                    way.elapsed.append(batches.size / (time.perf_counter() - began))
                    way.processor.append(batches.size / (time.process_time() - spent))

    print(
        f"{given.source}, {given.fit}: {count:,} pictures; batches of {BATCH}, medians of "
        f"{given.rounds} rounds; {available_cores()} cores, load {os.getloadavg()[0]:.1f}"
    )
    for side in SIDES:
        print(
            f"\n{side} px                       bytes each     images/s  of one core   to PNG files"
        )
        here = [way for way in made if way.side == side]
        rates = {way.name: statistics.median(way.processor) for way in here}
        for way in here:
            rate = rates[way.name]
            print(
                f"{way.name:28}{way.bytes_each:>12,.0f}{statistics.median(way.elapsed):>13,.0f}"
                f"{rate:>13,.0f}{rate / rates['files, PNG']:>12.1f} x"
            )


if __name__ == "__main__":
    run(main)

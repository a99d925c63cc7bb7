"""The bars of exploring, with the model that comes with impasto, at 64 pixels.

    python -m benchmarks.exploring walk|memory|invert|directions [--first SEED] [--count N]

`walk`: frames a second against pictures a second of `sample`, alternating, medians of five rounds; of
painting alone, and into folders of PNGs. `memory`: resident memory (Linux) during 10,000 frames of an
MP4. `invert`: 16 (--count) pictures that the model made, of seeds from 5000 or --first on, and how near
they come. None of these seeds may be a candidate that a search starts from: such are found at once.
`directions`: what the command finds by default. Seconds of CPU are of this process; on a busy machine
they tell more than the clock.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import impasto
from benchmarks._command import run
from impasto.exploring.frames import Film
from impasto.exploring.inverting import Inversion, Search
from impasto.exploring.walk_options import WalkOptions, film_of
from impasto.sampling import Model, find_model
from impasto.sampling.output import save_pictures, seed_name
from impasto.sampling.painter import Painter

MODEL = "masters"
PICTURES = 320
ROUNDS = 5
FRAMES = 10_000


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """The seconds on the clock, and of CPU."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def film(painter: Painter, frames: int, scale: int | None = None) -> Film:
    options = WalkOptions(seeds=range(8))
    return film_of(painter, options, seconds=frames / 30, rate=30, scale=scale)


def walk(folder: Path) -> None:
    painter = Painter.load(find_model(MODEL))
    seeds, times = range(PICTURES), film(painter, PICTURES).times
    labels = painter.labels(seeds, {})
    places = iter(range(10 * ROUNDS))

    def sample_files() -> None:
        names = [seed_name(seed) for seed in seeds]
        target = folder / f"sample-{next(places)}"
        save_pictures(painter.paint(seeds, labels), names, target, painter.texts(seeds, labels))

    works: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "painting": (
            lambda: [len(batch) for batch in painter.paint(seeds, labels)],
            lambda: [len(frame) for frame in film(painter, PICTURES).pictures(times)],
        ),
        "folders of PNGs": (
            sample_files,
            lambda: film(painter, PICTURES).write(folder / f"walk-{next(places)}"),
        ),
    }
    for name, pair in works.items():
        pair[0]()  # warm
        found = [[seconds_of(work) for work in pair] for _ in range(ROUNDS)]
        for place, clock in enumerate(("on the clock", "of CPU")):
            rates = [
                statistics.median(PICTURES / each[which][place] for each in found)
                for which in range(2)
            ]
            print(
                f"{name}, seconds {clock}: sample {rates[0]:.0f} a second, walk {rates[1]:.0f}, "
                f"ratio {rates[1] / rates[0]:.2f}",
                flush=True,
            )


def resident() -> float:
    """Megabytes in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def memory(folder: Path) -> None:
    found: list[tuple[int, float]] = []

    def progress(done: int) -> None:
        if done % (FRAMES // 10) == 0 or done == 200:
            found.append((done, resident()))

    film(Painter.load(find_model(MODEL)), FRAMES, scale=1).write(folder / "long.mp4", progress)
    print("\n".join(f"{done:>6} frames: {megabytes:.0f} MB" for done, megabytes in found))


def invert(first: int, count: int) -> None:
    if first < Search().candidates:
        sys.exit(
            f"seeds below {Search().candidates:,} are candidates of the search: choose later ones"
        )
    model = Model.load(MODEL)
    pictures = model.sample(range(first, first + count))
    found: list[Inversion] = []
    clock, used = seconds_of(lambda: found.append(impasto.invert(model, pictures)))
    begun, shares = ((each / found[0].usual).numpy() for each in found[0].distances[[0, -1]])
    print(
        f"{len(pictures)} pictures in {clock:.0f} s ({used:.0f} s of CPU, {torch.get_num_threads()} "
        f"threads); distance as a share of that of two random pictures: median "
        f"{np.median(shares):.3f}, mean {shares.mean():.3f}, largest {shares.max():.3f}; of the starts: "
        f"median {np.median(begun):.3f}"
    )


def directions(folder: Path) -> None:
    target = folder / "d.safetensors"
    clock, used = seconds_of(lambda: impasto.directions(MODEL, target, device="cpu"))
    print(f"directions in {clock:.0f} s ({used:.0f} s of CPU)")


IN_A_FOLDER = {"walk": walk, "memory": memory, "directions": directions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("part", choices=[*IN_A_FOLDER, "invert"])
    parser.add_argument("--first", type=int, default=5000)
    parser.add_argument("--count", type=int, default=16)
    asked = parser.parse_args()
    if asked.part == "invert":
        invert(asked.first, asked.count)
        return
    with tempfile.TemporaryDirectory() as folder:
        IN_A_FOLDER[asked.part](Path(folder))


if __name__ == "__main__":
    run(main)

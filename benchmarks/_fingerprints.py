"""Fingerprints of as many pictures as are asked for, for benchmarks: no two of them drawn by hand, but
with the brightness, colours and hashes of pictures."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image

from impasto.collection.packing import MASTERS
from impasto.decoding.fingerprint import FINGERPRINT, SIDE, THUMB

_TILES = 100
"""Tiles of each of the 21 paintings; each picture is two of them, one through the other."""
_AT_ONCE = 4096
_NEAR, _SOFT, _GROUPS = 0.05, 0.05, 0.002
"""Shares of near copies, of soft pictures, and of each of the large groups among all."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def write_fingerprints(path: Path, count: int, kind: str = "pictures") -> None:
    """Write `FINGERPRINT` [N] as a file for `np.load`.

    Args:
        path: of the file.
        count: how many.
        kind: `pictures`: one in twenty soft, one in twenty a near copy of one before, two groups of
            identical ones, a group of near copies of one picture, and a group of blank sheets, each
            of one in 500; `sheets`: nearly identical blank sheets; `mists`: faint smooth fields, all
            alike and all different.
    """
    random = np.random.default_rng(0)
    tiles = _tiles(random)
    prints = open_memmap(path, mode="w+", dtype=FINGERPRINT, shape=(count,))
    for start in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - start)
        if kind == "pictures":
            pixels = _mixed(random, tiles, size)
        else:
            height = 0.6 if kind == "mists" else 0.0
            pixels = 200 + _fields(random, size, height)
            pixels += (random.random(pixels.shape) < 0.01)[..., :1]
        prints[start : start + size] = _records(random, pixels)
    if kind == "pictures":
        group = max(2, int(_GROUPS * count))
        for number, noise in enumerate((0.0, 0.0, 1.5)):
            pixels = np.repeat(prints[number : number + 1]["light"], group, axis=0)
            some = random.choice(np.arange(3, count), group, replace=False)
            pixels = pixels[..., None] + noise * random.normal(size=(group, SIDE, SIDE, 1))
            prints[some] = _records(random, np.repeat(pixels.astype(np.float32), 3, axis=3))
        some = random.choice(np.arange(3, count), group, replace=False)
        prints[some] = _records(random, np.full((group, SIDE, SIDE, 3), 250, np.float32))
    prints.flush()


def _tiles(random: np.random.Generator) -> np.ndarray:
    """Tiles of the paintings, float32 [T, 32, 32, 3]."""
    tiles = []
    for path in sorted(MASTERS.glob("*.jpg")):
        with Image.open(path) as opened:
            painting = opened.convert("RGB")
        for _ in range(_TILES):
            side = int(random.integers(min(painting.size) // 6, min(painting.size)))
            left = int(random.integers(painting.width - side + 1))
            top = int(random.integers(painting.height - side + 1))
            tile = painting.crop((left, top, left + side, top + side))
            tiles.append(np.asarray(tile.resize((SIDE, SIDE), Image.Resampling.BOX)))
    return np.stack(tiles).astype(np.float32)


def _mixed(random: np.random.Generator, tiles: np.ndarray, count: int) -> np.ndarray:
    """Pictures, float32 [B, 32, 32, 3]: tiles one through the other, and near copies among them."""
    one, other = random.integers(len(tiles), size=(2, count))
    share = random.uniform(0.15, 0.5, (count, 1, 1, 1)).astype(np.float32)
    pixels: np.ndarray = (1 - share) * tiles[one] + share * tiles[other][:, :, ::-1]
    pixels += _fields(random, count, 12.0)
    soft = np.flatnonzero(random.random(count) < _SOFT)
    mean = pixels[soft].mean(axis=(1, 2), keepdims=True)
    pixels[soft] = mean + _fields(random, len(soft), 8.0)
    copies = np.flatnonzero(random.random(count) < _NEAR)
    pixels[copies] = pixels[random.integers(count, size=len(copies))]
    pixels[copies] += random.normal(size=(len(copies), SIDE, SIDE, 1))
    return pixels


def _fields(random: np.random.Generator, count: int, height: float) -> np.ndarray:
    """Smooth fields around 0, float32 [B, 32, 32, 3]."""
    cells = random.normal(size=(count, 6, 6, 3)).astype(np.float32)
    to = _resize(6, SIDE, Image.Resampling.BICUBIC)
    return np.einsum("ia,jc,bacd->bijd", to, to, height * cells, optimize=True)


def _resize(size: int, to: int, how: Image.Resampling) -> np.ndarray:
    """What Pillow's resizing of one axis does, as a matrix, float32 [to, size]."""
    rows = [
        np.asarray(Image.fromarray(row[None]).resize((to, 1), how))[0]
        for row in np.eye(size, dtype=np.float32)
    ]
    return np.stack(rows, axis=1)


def _records(random: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Fingerprints of pictures, float32 [B, 32, 32, 3], as `fingerprint_of` makes them but for
    rounding; all of other packed pixels."""
    count = len(pixels)
    pixels = pixels.round().clip(0, 255)
    light = (pixels @ _LUMA).round()
    down, across = (_resize(SIDE, to, Image.Resampling.HAMMING) for to in (8, 9))
    small = np.einsum("ia,jc,bac->bij", down, across, light, optimize=True).round()
    waves = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * np.arange(1, 9)[:, None])
    found = np.einsum("ia,jc,bac->bij", waves, waves, light, optimize=True).reshape(count, 64)
    bits = (np.diff(small) > 1).reshape(count, 64), found > np.median(found, axis=1)[:, None] + 128
    prints = np.zeros(count, FINGERPRINT)
    for name, of in zip(("dhash", "phash"), bits, strict=True):
        prints[name] = np.packbits(of, axis=1).view(">u8")[:, 0]
    sides = light[:, :-2, 1:-1] + light[:, 2:, 1:-1] + light[:, 1:-1, :-2] + light[:, 1:-1, 2:]
    prints["detail"] = np.sqrt(np.square(light[:, 1:-1, 1:-1] - sides / 4).mean(axis=(1, 2)))
    half = SIDE // THUMB
    prints["light"] = light
    prints["thumb"] = pixels.reshape(count, THUMB, half, THUMB, half, 3).mean(axis=(2, 4)).round()
    prints["pixels"] = random.integers(0, 256, (count, 32), dtype=np.uint8)
    return prints

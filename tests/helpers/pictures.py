"""Shared by several tests: paint."""

from pathlib import Path

import numpy as np
from PIL import Image


def paint(folder: Path, count: int, size: int = 40) -> None:
    """Write pictures of coloured blocks, half of them in `warm/`, half in `cold/`."""
    random = np.random.default_rng(7)
    for index in range(count):
        kind = "warm" if index % 2 else "cold"
        blocks = random.integers(0, 120, (4, 4, 3), dtype=np.uint8)
        blocks[..., 0 if kind == "warm" else 2] += 120
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / kind / f"{index:03d}.png")

"""Shared by several tests: pixels, picture, samples, shard."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)


def picture(number: int, suffix: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(number)).save(file, suffix)
    return file.getvalue()


def shard(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def samples(numbers: Sequence[int], **beside: Any) -> dict[str, bytes]:
    """Files of samples; `beside` says what else each has: bytes, or what makes them of a number."""
    files = {}
    for number in numbers:
        files[f"{number:06}.png"] = picture(number)
        for suffix, content in beside.items():
            made = content(number) if callable(content) else content
            made = made if isinstance(made, bytes) else json.dumps(made).encode()
            files[f"{number:06}.{suffix}"] = made
    return files

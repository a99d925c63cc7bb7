"""The text that a PNG of a point carries, and that of a file of points; written without torch."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL.PngImagePlugin import PngInfo
from pydantic import Field

from impasto.config import Config, Line
from impasto.errors import ImpastoError
from impasto.sampling.seeds import MAX_SEED

TEXT_KEY = "impasto"
"""The key of the text in a PNG, and of that in a file of points."""
MOST_LEVELS = 1024
"""Most levels of a generator with latents of their own."""


def check_points_file(path: Path) -> None:
    """Raises: ImpastoError: points cannot be kept in a file of this name."""
    if path.suffix != ".safetensors":
        raise ImpastoError(f"points are kept in a .safetensors file, not {path}")


class Origin(Config):
    """The origin of a point: its seed, truncation and edits, as they are saved."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    """The seed that has this latent; None for a point between seeds."""
    truncation: float | None = None
    """The truncation of the seed's latent."""
    edits: dict[Line, float] = Field(default_factory=dict)
    """Directions that it was moved along, and how far."""


class PointsRecord(Config):
    """The text in a file of points; or a single point as text, as a PNG carries it."""

    format: int = 1
    model: Line
    """SHA-256 of the generator's weights."""
    recipe: Line
    fields: tuple[tuple[Line, tuple[Line, ...]], ...] = ()
    """The label fields with their classes, in the order of the class weights."""
    origins: tuple[Origin, ...]
    levels: Annotated[int, Field(gt=0, le=MOST_LEVELS)] | None = None
    """Of a single point: the number of its latents, if it has one for each level."""
    latents: str | None = None
    """Of a single point: the latents, float32, zlib, base64."""
    classes: tuple[float, ...] = ()
    """Of a single point: the class weights."""

    def text(self) -> str:
        """The record as it is written."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True))


def short_floats(values: np.ndarray) -> tuple[float, ...]:
    """Float32 values with as few digits as give the same float32 again."""
    return tuple(float(str(value)) for value in values)


def holds(text: str, name: str) -> bool:
    """Whether a JSON text has the member `name`; it distinguishes files of points from files of
    directions.

    A damaged text counts as one that has it, so that reading it reports the damage.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return True
    return isinstance(record, dict) and name in record


def png_text(text: str) -> PngInfo:
    """What Pillow writes into a PNG: the text under `TEXT_KEY`, compressed."""
    info = PngInfo()
    info.add_text(TEXT_KEY, text, zip=True)
    return info

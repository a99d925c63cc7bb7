"""Pictures that were chosen for a run's report: a grid, its table and a record in `RUN/curated`."""

from pathlib import Path
from typing import Literal

from impasto.config import Config, Count

_FOLDER = "curated"


class CuratedGroup(Config):
    """The kept pictures of one class, with medians: of them, and of all candidates."""

    title: str
    """The class; empty for a model without classes."""
    kept: Count
    realness: tuple[float, float] | None
    """None without a discriminator."""
    confidence: tuple[float, float] | None
    """None without a class."""


class CuratedRecord(Config):
    """The contents of `best.json` or `worst.json`."""

    format: Literal[1] = 1
    grid_sha256: str
    """SHA-256 of the grid's file."""
    images_seen: int
    """Images seen by the model that generated them."""
    candidates: Count
    """Number of candidates of each class."""
    worst: bool
    truncation: float | None = None
    judge: str | None = None
    """Name of the collection whose judge named the classes; None: the discriminator did."""
    groups: tuple[CuratedGroup, ...]


def curated_grid(run: Path, *, worst: bool) -> Path:
    """Path of a run's grid of chosen pictures."""
    return run / _FOLDER / f"{'worst' if worst else 'best'}.png"


def curated_record(grid: Path) -> Path:
    """Path of the record of a grid of chosen pictures."""
    return grid.with_suffix(".json")

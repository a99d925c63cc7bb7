"""What the sections of the pages are made of: words, pictures, charts, tables."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from markupsafe import Markup
from PIL.Image import Image

from impasto.formatting import counted
from impasto.reporting.pictures import cut, picture_uri, tile_size
from impasto.reporting.record import RunRecord

# Below this, browsers would blur what are pixels to be seen.
_PIXEL_ART = 128

T = TypeVar("T")


@dataclass(frozen=True)
class PageImage:
    """A picture of a page.

    Attributes:
        address: of the file, or a data address.
        description: for people who cannot see it.
        kind: its CSS classes.
    """

    address: str
    description: str
    kind: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with a caption beneath."""

    picture: PageImage
    caption: str


@dataclass(frozen=True)
class Card:
    """A chart under its title, with an explanation beneath."""

    title: str
    drawing: Markup
    explanation: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        interval: a line beneath it.
        note: number of the note on it; 0: none.
        best: whether it is marked as the best of its row.
        words: whether it holds words, rather than a number.
        code: texts in `text`'s place, of which every second one is code.
    """

    text: str = ""
    interval: str = ""
    note: int = 0
    best: bool = False
    words: bool = False
    code: Sequence[str] = ()


@dataclass(frozen=True)
class PageTable:
    """A table of numbers.

    Attributes:
        head: of every column, the first above the rows' names.
        rows: a name, and the cells of the other columns.
        notes: the notes on its cells, in the order of their numbers.
    """

    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Folded(Generic[T]):
    """What is shown at once, and more of the same under a line that unfolds."""

    first: T
    others: Sequence[T]
    summary: str


def folded(
    columns: list[int], draw: Callable[[list[int]], T], at_once: int, noun: str = "class"
) -> Folded[T]:
    """What `draw` makes of the first `at_once` columns, and of as many at a time of the others."""
    first, others = draw(columns[:at_once]), columns[at_once:]
    # Of what is not there of the most frequent ones, nothing is shown of the others either.
    starts = range(0, len(others), at_once) if first else ()
    bands = [draw(others[start : start + at_once]) for start in starts]
    return Folded(first, bands, f"The other {counted(len(others), noun)}")


def words(text: str) -> Cell:
    """A cell of words."""
    return Cell(text, words=True)


def moment(record: RunRecord, images: int) -> str:
    """A moment of the run: `12,288 images (epoch 585)`."""
    epochs = record.epochs(images)
    if epochs is None:
        return f"{images:,} images"
    return (
        f"{images:,} images (epoch {epochs:,.0f})"
        if epochs >= 100
        else (f"{images:,} images (epoch {epochs:.1f})")
    )


def with_code(text: str) -> list[str]:
    """A sentence in parts: every second one is a command or a setting."""
    return re.split(
        r"(--set [\w.]+=(?:\.\.\.|\[[^\]]*\]|\w+(?:\.\w+)*)|impasto pack --fit tiles)", text
    )


def pixel_class(grid: Image, record: RunRecord) -> str:
    """CSS classes for a grid: small pictures are enlarged by whole pixels."""
    return pixel_kind(tile_size(grid, record.columns))


def pixel_kind(side: int) -> str:
    """CSS classes of pictures of so many pixels a side: small ones are enlarged by whole pixels."""
    return "pixel fill" if side < _PIXEL_ART else "fill"


def grid_figure(
    record: RunRecord, grid: Image, caption: str, description: str, side: int, exact: bool = False
) -> Figure:
    """A grid as a figure; where only its first pictures are shown, the caption says so."""
    kept, shown, of = cut(grid, record.columns, side)
    if shown < of:
        caption += f" The first {shown} of {of}."
    exact = exact and kept.width * kept.height <= 1024 * 1024
    picture = PageImage(picture_uri(kept, exact), description, pixel_class(grid, record))
    return Figure(picture, caption)

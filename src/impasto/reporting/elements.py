"""Elements of the pages: text, pictures, charts, tables."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from markupsafe import Markup
from PIL.Image import Image

from impasto.formatting import counted
from impasto.reporting.axes import axes_of
from impasto.reporting.pictures import cut, picture_uri, tile_size
from impasto.reporting.record import RunRecord

# Smaller pictures are enlarged without smoothing.
_PIXEL_ART = 128

T = TypeVar("T")


@dataclass(frozen=True)
class PageImage:
    """A picture in a page.

    Attributes:
        address: of the file, or a data URI.
        description: the alternative text.
        kind: its CSS classes.
    """

    address: str
    description: str
    kind: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with a caption below."""

    picture: PageImage
    caption: str


@dataclass(frozen=True)
class Card:
    """A chart with a title above and an explanation below.

    Attributes:
        work: the figure of a published work that it answers to; may be empty.
    """

    title: str
    drawing: Markup
    explanation: str
    work: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: its contents.
        interval: a second line.
        note: number of its note; 0: none.
        best: whether it is marked as best of its row.
        words: whether it holds text, not a number.
        code: parts in place of `text`, of which every second one is code.
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
        head: of every column; the first is above the rows' names.
        rows: a name, and the cells of the other columns.
        notes: the notes on its cells, in the order of their numbers.
    """

    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Folded(Generic[T]):
    """Content shown at once, and more of it that unfolds."""

    first: T
    others: Sequence[T]
    summary: str


def folded(
    columns: list[int], draw: Callable[[list[int]], T], at_once: int, noun: str = "class"
) -> Folded[T]:
    """`draw` applied to the first `at_once` columns, and to the others in groups of as many."""
    first, others = draw(columns[:at_once]), columns[at_once:]
    # If there is nothing for the first columns, there is nothing for the others.
    starts = range(0, len(others), at_once) if first else ()
    bands = [draw(others[start : start + at_once]) for start in starts]
    return Folded(first, bands, f"The other {counted(len(others), noun)}")


def words(text: str) -> Cell:
    """A cell of text."""
    return Cell(text, words=True)


def moment(record: RunRecord, images: int, *, iteration: bool = False) -> str:
    """A moment of the run: `12,288 images (epoch 585)`, or `(epoch 585, iteration 96)`."""
    also = [
        f"{axis.name.removesuffix('s')} {axis.text(images)}"
        for axis in axes_of(record)
        if axis.name == "epochs" or (iteration and axis.name == "iterations")
    ]
    return f"{images:,} images ({', '.join(also)})" if also else f"{images:,} images"


def run_in_commands(record: RunRecord) -> str:
    """The run as an argument of a command. Pages may be shared, so it has no absolute path."""
    if not record.folder.is_absolute():
        return str(record.folder)
    return f"{record.whole.name}/{record.name}" if record.whole else record.name


def with_code(text: str) -> list[str]:
    """Split a sentence into parts, of which every second one is a command or a setting."""
    return re.split(
        r"(--set [\w.]+=(?:\.\.\.|\[[^\]]*\]|\w+(?:\.\w+)*)|impasto pack --fit tiles)", text
    )


def pixel_class(grid: Image, record: RunRecord) -> str:
    """CSS classes for a grid: small pictures are enlarged by whole pixels."""
    return pixel_kind(tile_size(grid, record.columns)[0])


def pixel_kind(side: int) -> str:
    """CSS classes for pictures of this width: small ones are enlarged by whole pixels."""
    return "pixel fill" if side < _PIXEL_ART else "fill"


def cell_tall(record: RunRecord) -> float:
    """The height of a place in a run's grids divided by its width; of a run of several sizes, a place
    holds a picture of any of them."""
    match record.get("grid", "cell"):
        case [int(width), int(height)] if width > 0 and height > 0:
            return height / width
    return record.tall


def grid_figure(
    record: RunRecord, grid: Image, caption: str, description: str, side: int, exact: bool = False
) -> Figure:
    """A grid as a figure; the caption says if only its first pictures are shown."""
    kept, shown, of = cut(grid, record.columns, side, cell_tall(record))
    if shown < of:
        caption += f" The first {shown} of {of}."
    exact = exact and kept.width * kept.height <= 1024 * 1024
    picture = PageImage(picture_uri(kept, exact), description, pixel_class(grid, record))
    return Figure(picture, caption)

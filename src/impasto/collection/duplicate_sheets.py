"""Groups of duplicates as pictures, to be looked at: was it right to set these aside?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from impasto.collection.store import Collection
from impasto.errors import ImpastoError

GROUPS = 40
"""Groups on a page, at most."""
PAGES = 25
"""Pages, at most: the groups that are furthest from being the same come first, so the rest are copies
or all but."""
_ACROSS = 12
"""Pictures side by side on a page; a group of more shows its first."""
_CELL = 96
_GAP = 8
_LINE = 12
"""Height of a line of text, in pixels; a picture has three below it."""
_KEPT, _INK, _RULE = (0, 120, 60), (30, 30, 30), (225, 225, 225)


@dataclass(frozen=True)
class Member:
    """A picture that has duplicates."""

    path: str
    kept: bool
    kind: str
    distance: float
    row: int
    """Its first picture: a row of the collection if it is kept, else of what is set aside."""
    size: str
    """Width and height of the source picture."""


def groups_of(collection: Collection) -> list[list[Member]]:
    """The groups in `duplicates.csv`, each with what is kept first; the least alike come first.

    Raises:
        ImpastoError: the table is damaged.
    """
    counts = {"1": len(collection), "0": len(collection.aside())}
    try:
        rows = [
            (int(row["group"]), _member(row, counts[row["kept"]]))
            for row in collection.duplicates_table()
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ImpastoError(
            f"{collection.path / 'duplicates.csv'} is damaged ({error}); pack the collection again"
        ) from error
    rows.sort(key=lambda row: (row[0], not row[1].kept, row[1].distance, row[1].path))
    groups = [[member for _, member in each] for _, each in groupby(rows, lambda row: row[0])]
    return sorted(groups, key=_likeness)


def _likeness(group: list[Member]) -> tuple[float, bool]:
    """What groups are sorted by: the greatest distance, and exact ones after all others."""
    furthest = max(member.distance for member in group)
    return -furthest, all(member.kind == "exact" for member in group)


def _member(row: dict[str, str], count: int) -> Member:
    number = int(row["row"])
    if not 0 <= number < count:
        raise ValueError(f"row {number} of {count}")
    size = f"{row['width']} x {row['height']}"
    return Member(
        row["path"], row["kept"] == "1", row["kind"], float(row["distance"]), number, size
    )


def pages(collection: Collection, groups: list[list[Member]]) -> Iterator[Image.Image]:
    """Pages of `GROUPS` groups, at most `PAGES`; RGB. Groups stand in rows, several small ones beside
    each other; what is kept has a green frame.

    Raises:
        ImpastoError: pixels cannot be read.
    """
    aside = collection.aside()

    def pixels(member: Member) -> np.ndarray:
        rows = np.array([member.row])
        taken: np.ndarray = (collection.images(rows) if member.kept else aside.pixels(rows))[0]
        return taken

    shown = groups[: GROUPS * PAGES]
    for start in range(0, len(shown), GROUPS):
        yield _page(shown[start : start + GROUPS], pixels)


def _page(groups: list[list[Member]], pixels: Callable[[Member], np.ndarray]) -> Image.Image:
    step, height = _CELL + _GAP, _CELL + 3 * _LINE + 2 * _GAP
    places: list[tuple[int, int]] = []
    across = row = 0
    for group in groups:
        wide = min(len(group), _ACROSS)
        if across + wide > _ACROSS:
            across, row = 0, row + 1
        places.append((across, row))
        across += wide
    size = (_ACROSS * step + _GAP, (row + 1) * height + _GAP)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for group, (across, row) in zip(groups, places, strict=True):
        top = _GAP + row * height
        # A line before each group, so that neighbours are not taken for one.
        left = _GAP + across * step - _GAP // 2
        draw.line((left, top - _GAP // 2, left, top + height - 2 * _GAP), fill=_RULE, width=1)
        for number, member in enumerate(group[:_ACROSS]):
            left = _GAP + (across + number) * step
            more = len(group) - _ACROSS if number == _ACROSS - 1 else 0
            _paste(page, draw, (left, top), member, pixels(member), more)
    return page


def _paste(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    member: Member,
    pixels: np.ndarray,
    more: int,
) -> None:
    """Draw a picture and what is told of it, and of how many more there are in its group."""
    left, top = corner
    picture = Image.fromarray(pixels).resize((_CELL, _CELL), Image.Resampling.LANCZOS)
    page.paste(picture, corner)
    if member.kept:
        box = (left - 2, top - 2, left + _CELL + 1, top + _CELL + 1)
        draw.rectangle(box, outline=_KEPT, width=2)
    far = f" {member.distance:.2f}" if member.distance else ""
    told = "kept" if member.kept else member.kind + far
    if more:
        told += f", {more} more"
    for line, text in enumerate((member.path, member.size, told)):
        place = (left, top + _CELL + 2 + line * _LINE)
        draw.text(place, _shortened(text), fill=_KEPT if text == "kept" else _INK, font=_font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(10)


def _shortened(text: str) -> str:
    """The end of a text, as much as fits below a picture: of a path, the end tells most."""
    font = _font()
    if font.getlength(text) <= _CELL:
        return text
    while text and font.getlength("..." + text) > _CELL:
        text = text[1:]
    return "..." + text

"""Sheets of duplicate groups, for checking what was excluded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from impasto.collection.store import Collection
from impasto.errors import ImpastoError
from impasto.fonts import draw_text, text_length

GROUPS = 30
"""Most groups on a page."""
PAGES = 33
"""Most pages; the groups with the largest distances come first."""
_ACROSS = 6
"""Pictures in a row."""
_MOST = 12
"""Most pictures shown of a group."""
_CELL = 144
"""Most pixels of a picture's side."""
_STEP = 212
"""Distance between pictures, in pixels; wider than a picture for the names below."""
_GAP = 8
_LETTERS, _LINE = 11, 14
"""Height of letters and of a line of text, in pixels; a picture has four lines below it."""
_ELLIPSIS = "…"
_KEPT, _INK, _RULE = (0, 120, 60), (30, 30, 30), (225, 225, 225)


@dataclass(frozen=True)
class GroupMember:
    """A picture that has duplicates."""

    path: str
    kept: bool
    kind: str
    distance: float
    row: int
    """The index of its first picture, in the collection if kept, else among the excluded ones."""
    size: str
    """Width and height of the source picture."""


def duplicate_groups(collection: Collection) -> list[list[GroupMember]]:
    """The groups in `duplicates.csv`, those with the largest distances first. In each the kept picture
    comes first.

    Raises:
        ImpastoError: the table is damaged.
    """
    views = collection.views()
    counts = {
        "1": sum(len(view.span) for view in views),
        "0": sum(len(view.excluded()) for view in views),
    }
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


def alike_groups(collection: Collection) -> list[list[GroupMember]]:
    """The sets in `alike.csv`, the largest first.

    Raises:
        ImpastoError: the table is damaged.
    """
    sets: dict[int, list[GroupMember]] = {}
    count = sum(len(view.span) for view in collection.views())
    try:
        for row in collection.alike_table():
            alike = row | {"kept": "1", "kind": "alike", "distance": "0"}
            sets.setdefault(int(row["set"]), []).append(_member(alike, count))
    except (KeyError, TypeError, ValueError) as error:
        raise ImpastoError(
            f"{collection.path / 'alike.csv'} is damaged ({error}); pack the collection again"
        ) from error
    return sorted(sets.values(), key=len, reverse=True)


def _likeness(group: list[GroupMember]) -> tuple[float, bool]:
    """The sort key of a group: its greatest distance, exact groups last."""
    furthest = max(member.distance for member in group)
    return -furthest, all(member.kind == "exact" for member in group)


def _member(row: dict[str, str], count: int) -> GroupMember:
    number = int(row["row"])
    if not 0 <= number < count:
        raise ValueError(f"row {number} of {count}")
    size = f"{row['width']} x {row['height']}"
    return GroupMember(
        row["path"], row["kept"] == "1", row["kind"], float(row["distance"]), number, size
    )


def pages(collection: Collection, groups: list[list[GroupMember]]) -> Iterator[Image.Image]:
    """Draw groups on at most `PAGES` pages of `GROUPS` groups each; RGB.

    Groups are drawn in rows, small ones side by side, with a line before each. Kept pictures have a
    green frame.

    Raises:
        ImpastoError: pixels cannot be read.
    """
    views = collection.views()
    excluded = [view.excluded() for view in views]

    def pixels(member: GroupMember) -> np.ndarray:
        if member.kept:
            view = next(view for view in views if member.row in view.span)
            kept: np.ndarray = view.images(np.array([member.row]))[0]
            return kept
        row = member.row
        for reader in excluded:
            if row < len(reader):
                return reader.pixels(np.array([row]))[0]
            row -= len(reader)
        raise IndexError(member.row)

    shown = groups[: GROUPS * PAGES]
    for start in range(0, len(shown), GROUPS):
        yield _page(shown[start : start + GROUPS], pixels)


def _page(
    groups: list[list[GroupMember]], pixels: Callable[[GroupMember], np.ndarray]
) -> Image.Image:
    height = _CELL + 4 * _LINE + 2 * _GAP
    starts: list[int] = []
    place = 0
    for group in groups:
        shown = min(len(group), _MOST)
        # A group that fits into a row is not divided; a longer one begins a row.
        if place % _ACROSS + shown > _ACROSS:
            place += -place % _ACROSS
        starts.append(place)
        place += shown
    rows = -(-place // _ACROSS)
    page = Image.new("RGB", (_ACROSS * _STEP + _GAP, rows * height + _GAP), "white")
    draw = ImageDraw.Draw(page)
    for group, start in zip(groups, starts, strict=True):
        more = len(group) - _MOST
        for number, member in enumerate(group[:_MOST]):
            row, column = divmod(start + number, _ACROSS)
            left, top = _GAP + column * _STEP, _GAP + row * height
            if number == 0:
                # A line before each group separates it from its neighbour.
                edge = left - _GAP // 2
                draw.line((edge, top - _GAP // 2, edge, top + height - 2 * _GAP), _RULE)
            left_over = more if number == _MOST - 1 else 0
            _paste(page, draw, (left, top), member, pixels(member), left_over)
    return page


def _paste(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    member: GroupMember,
    pixels: np.ndarray,
    more: int,
) -> None:
    """Draw a picture with its name, size and distance, and how many more there are in its group."""
    left, top = corner
    picture = ImageOps.contain(Image.fromarray(pixels), (_CELL, _CELL), Image.Resampling.LANCZOS)
    page.paste(picture, corner)
    if member.kept:
        box = (left - 2, top - 2, left + picture.width + 1, top + picture.height + 1)
        draw.rectangle(box, outline=_KEPT, width=2)
    far = f" {member.distance:.2f}" if member.distance else ""
    nearness = "kept" if member.kept else member.kind + far
    if more:
        nearness += f", {more} more"
    folder, _, name = member.path.rpartition("/")
    lines = [name, member.size, nearness]
    if folder:
        lines.insert(0, f"{folder}/")
    for line, text in enumerate(lines):
        place = (left, top + _CELL + 3 + line * _LINE)
        colour = _KEPT if text is nearness and member.kept else _INK
        draw_text(draw, place, _shortened(text), colour, _LETTERS)


def _shortened(text: str) -> str:
    """A text without its middle if it is too long to fit below a picture. The names of copies differ at
    the beginning, by folders, or at the end, by a number."""
    width = _STEP - 2 * _GAP
    if text_length(text, _LETTERS) <= width:
        return text
    kept = len(text) - 1
    while kept and text_length(_without_middle(text, kept), _LETTERS) > width:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    """A text cut to this many letters, from both ends."""
    end = kept // 2
    return text[: kept - end] + _ELLIPSIS + text[len(text) - end :]

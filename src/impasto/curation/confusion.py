"""The confusion matrix as an image: rows are true classes, columns predicted ones."""

import numpy as np
from PIL import Image, ImageDraw

from impasto.evaluation.accuracy import FieldResult
from impasto.sampling.grid import shortened, text_font, written

MAX_CLASSES = 60
"""The most classes that are drawn. If there are more, those with the most images are."""
_PAPER, _NOTHING = (255, 255, 255), (235, 235, 235)
_LIGHT, _DARK = np.array([247, 250, 253]), np.array([8, 64, 129])
_NAME_WIDTH = 170
"""Longer names, in pixels, are shortened."""
_GAP = 8


def _shown(confusion: np.ndarray) -> np.ndarray:
    """The numbers of the classes to draw: those that are true or predicted for some image, ascending."""
    counts = confusion.sum(axis=1)
    occurring = np.flatnonzero(counts + confusion.sum(axis=0))
    frequent = occurring[np.argsort(-counts[occurring], kind="stable")][:MAX_CLASSES]
    return np.sort(frequent)


def confusion_picture(result: FieldResult, title: str) -> Image.Image:
    """Draw the confusion matrix of one field.

    A cell's colour and upper number are its share of the row, in percent. The lower number is the
    number of images. A row without images is grey. Classes that are neither true nor predicted for
    any image are left out.

    Args:
        result: of the field.
        title: first line above the matrix.
    """
    shown = _shown(result.confusion)
    names = [shortened(result.classes[number], _NAME_WIDTH) for number in shown]
    cell = 48 if len(shown) <= 20 else 34
    totals = result.confusion.sum(axis=1)[shown]
    sides = [
        written(f"{name} ({total:,})") for name, total in zip(names, totals.tolist(), strict=True)
    ]
    tops = [written(name, upright=True) for name in names]
    head = [written(text) for text in _head(result, title, len(shown))]
    axes = written("true class, and its pictures"), written("named")

    left = max(axes[0].width, *(side.width for side in sides)) + 2 * _GAP
    above = sum(line.height for line in head) + 2 * _GAP
    above += axes[1].height + _GAP + max(top.height for top in tops) + _GAP
    width = max(left + cell * len(shown), _GAP + max(line.width for line in head)) + _GAP
    picture = Image.new("RGB", (width, above + cell * len(shown) + _GAP), _PAPER)
    draw = ImageDraw.Draw(picture)
    y = _GAP
    for line in head:
        picture.paste(line, (_GAP, y))
        y += line.height
    picture.paste(axes[1], (left, y + _GAP))
    picture.paste(axes[0], (left - _GAP - axes[0].width, above - _GAP - axes[0].height))
    for column, top in enumerate(tops):
        middle = left + column * cell + (cell - top.width) // 2
        picture.paste(top, (middle, above - _GAP - top.height))
    for row, side in enumerate(sides):
        y = above + row * cell
        picture.paste(side, (left - _GAP - side.width, y + (cell - side.height) // 2))
        for column in range(len(shown)):
            count = int(result.confusion[shown[row], shown[column]])
            _cell(draw, (left + column * cell, y, cell), count, int(totals[row]))
    return picture


def _head(result: FieldResult, title: str, shown: int) -> list[str]:
    """The lines above the matrix, of which `shown` classes are drawn."""
    low, high = result.interval
    lines = [title, f"{result.accuracy:.1%} named right, 95% interval {low:.1%} to {high:.1%}"]
    present = len(np.flatnonzero(result.confusion.sum(axis=0) + result.confusion.sum(axis=1)))
    if shown < present:
        lines.append(f"the {shown} commonest of {present} classes")
    return lines


def _cell(draw: ImageDraw.ImageDraw, place: tuple[int, int, int], count: int, total: int) -> None:
    """Draw one cell.

    Args:
        draw: canvas.
        place: left, top and side in pixels.
        count: images in the cell.
        total: images in the row.
    """
    x, y, side = place
    share = count / total if total else 0.0
    levels = (_LIGHT + (_DARK - _LIGHT) * share).round().astype(int)
    colour = (int(levels[0]), int(levels[1]), int(levels[2])) if total else _NOTHING
    draw.rectangle((x, y, x + side - 2, y + side - 2), fill=colour)
    if not count:
        return
    ink = (255, 255, 255) if share > 0.45 else (20, 20, 20)
    middle = x + (side - 1) / 2
    percent = f"{share:.0%}" if share >= 0.005 else "<1%"
    large = side >= 40
    draw.text((middle, y + side * 0.36), percent, ink, text_font(13 if large else 11), anchor="mm")
    draw.text((middle, y + side * 0.7), f"{count:,}", ink, text_font(10), anchor="mm")

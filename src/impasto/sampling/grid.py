"""Grids of images, with names of columns and rows."""

import bisect
import math
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from impasto.fonts import draw_text, font, text_length
from impasto.formatting import one_line

_INK, _PAPER = (20, 20, 20), (255, 255, 255)
_SIZE = 12  # of letters, in pixels
_GAP = 4  # between letters and pictures
_LINE_GAP = 4  # between lines of a name
_CAPTION = 120  # pixels that a caption may be wider than a narrow picture is
_CAPTION_LINES = 4  # that a line of a caption may become
_LONGEST = 180  # pixels of an upright name or one beside a row; longer names are shortened


def columns_of(count: int) -> int:
    """Number of columns of the most nearly square grid for `count` images; 8 for 64."""
    return max(1, math.ceil(math.sqrt(count)))


def grid_picture(images: np.ndarray, columns: int | None = None) -> Image.Image:
    """Images [B, H, W, 3] (uint8) in rows without gaps. The unused rest of the last row is black."""
    count, height, width, _ = images.shape
    columns = columns or columns_of(count)
    rows = math.ceil(count / columns)
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        canvas[top : top + height, left : left + width] = image
    return Image.fromarray(canvas)


def text_font(size: int = _SIZE) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of numbers in images; see `fonts.font`."""
    return font(size)


def shortened(text: str, width: float, size: int = _SIZE) -> str:
    """`text` on one line, cut with an ellipsis to fit into `width` pixels."""
    text = one_line(text)
    if text_length(text, size) <= width:
        return text
    fits = bisect.bisect_right(
        range(1, len(text) + 1), width, key=lambda kept: text_length(text[:kept] + "…", size)
    )
    return text[:fits].rstrip() + "…"


def broken(text: str, width: float) -> list[str]:
    """`text` on up to four lines of `width` pixels, broken before + and - and after commas where that is
    enough, else at spaces. A word that is too long, and what is beyond four lines, is cut with an
    ellipsis."""
    pieces: list[str] = []
    for term in re.split(r" (?=[+-] )|(?<=,) ", one_line(text)):
        fits = text_length(term, _SIZE) <= width
        pieces += [term] if fits else _filled(term.split(" "), width)
    lines = _filled(pieces, width)
    if len(lines) > _CAPTION_LINES:
        lines = [*lines[: _CAPTION_LINES - 1], f"{lines[_CAPTION_LINES - 1]} …"]
    return [shortened(line, width) for line in lines]


def _filled(pieces: Sequence[str], width: float) -> list[str]:
    """Lines of pieces, as many in each as fit into `width` pixels, at least one."""
    lines: list[str] = []
    for piece in pieces:
        if lines and text_length(f"{lines[-1]} {piece}", _SIZE) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def _wrapped(name: str, width: int) -> list[str] | None:
    """`name` on up to three lines within `width` pixels, broken at spaces and hyphens only; None
    if that is impossible."""
    lines = [""]
    for word in re.findall(r"[^\s-]+-?|-", name):
        joint = " " if lines[-1] and not lines[-1].endswith("-") else ""
        if text_length(lines[-1] + joint + word, _SIZE) <= width:
            lines[-1] += joint + word
        else:
            lines.append(word)
    lines = [line for line in lines if line]
    if len(lines) > 3 or any(text_length(line, _SIZE) > width for line in lines):
        return None
    return lines


def written(text: str, size: int = _SIZE, *, upright: bool = False) -> Image.Image:
    """An image of one line of text, just large enough; `upright` rotates it to read from bottom
    to top."""
    picture = _written_lines([text], size)
    return picture.transpose(Image.Transpose.ROTATE_90) if upright else picture


def _written_lines(lines: Sequence[str], size: int = _SIZE) -> Image.Image:
    """An image of lines of text, one below another, centred."""
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    drawn = [draw_text(probe, (0, 0), line, _INK, size) for line in lines]
    width = max((math.ceil(right) for right, _ in drawn), default=0)
    step = draw_text(probe, (0, 0), "A", _INK, size)[1] + _LINE_GAP
    # A line has the height of the tallest letter, so that all names have the same base line.
    bottom = (len(lines) - 1) * step + (drawn[-1][1] if drawn else 0)
    height = max(math.ceil(bottom), math.ceil(size * 1.25))
    picture = Image.new("RGB", (max(width, 1), height), _PAPER)
    for number, (line, (right, _)) in enumerate(zip(lines, drawn, strict=True)):
        corner = ((width - math.ceil(right)) // 2, number * step)
        draw_text(ImageDraw.Draw(picture), corner, line, _INK, size)
    return picture


def heading(names: Sequence[str], width: int) -> Image.Image:
    """The names above columns of `width` pixels: wrapped if all of them fit, otherwise all upright."""
    wrapped = [_wrapped(name, width - 2) for name in names]
    fits = all(text is not None for text in wrapped)
    pictures = [
        _written_lines(text or []) if fits else written(shortened(name, _LONGEST), upright=True)
        for name, text in zip(names, wrapped, strict=True)
    ]
    height = max(picture.height for picture in pictures)
    canvas = Image.new("RGB", (width * len(names), height + 2 * _GAP), _PAPER)
    for column, picture in enumerate(pictures):
        left = column * width + max(0, (width - picture.width) // 2)
        canvas.paste(picture, (left, _GAP + height - picture.height))
    return canvas


def _side(name: str) -> Image.Image:
    fits = text_length(one_line(name), _SIZE) <= _LONGEST
    lines = [name] if fits else name.split("\n")
    return _written_lines([shortened(line, _LONGEST) for line in lines])


def named_grid_picture(
    images: np.ndarray,
    columns: int | None = None,
    above: Sequence[str] = (),
    beside: Sequence[str] = (),
) -> Image.Image:
    """A grid as of `grid_picture`, with names above the columns, beside the rows, or both.

    A name beside a row is broken at its line breaks where it is too long for one line.
    """
    grid = grid_picture(images, columns)
    _, height, width, _ = images.shape
    top = heading(above, width) if above else None
    sides = [_side(name) for name in beside]
    margin = max((side.width for side in sides), default=-2 * _GAP) + 2 * _GAP
    down = top.height if top else 0
    canvas = Image.new("RGB", (margin + grid.width, down + grid.height), _PAPER)
    canvas.paste(grid, (margin, down))
    if top:
        canvas.paste(top, (margin, 0))
    for row, side in enumerate(sides):
        middle = down + row * height + (height - side.height) // 2
        canvas.paste(side, (margin - _GAP - side.width, middle))
    return canvas


def captioned_grid_picture(
    images: np.ndarray, captions: Sequence[Sequence[str]], columns: int | None = None
) -> Image.Image:
    """A grid of images [B, H, W, 3] (uint8) on white, with lines of text below each.

    Lines are broken to the width of the images, or to 120 pixels below narrower ones; see `broken`.
    """
    count, height, width, _ = images.shape
    columns = columns or columns_of(count)
    most = max(width, _CAPTION)
    written_out = [
        [part for line in lines if line for part in broken(line, most)] for lines in captions
    ]
    widest = max((text_length(part, _SIZE) for parts in written_out for part in parts), default=0)
    across = max(width, math.ceil(widest))
    texts = [_written_lines(parts) for parts in written_out]
    down = height + 2 * _GAP + max(text.height for text in texts)
    rows = math.ceil(count / columns)
    size = columns * (across + _GAP) + _GAP, rows * down + _GAP
    canvas = Image.new("RGB", size, _PAPER)
    for index, (image, text) in enumerate(zip(images, texts, strict=True)):
        top, left = _GAP + index // columns * down, _GAP + index % columns * (across + _GAP)
        canvas.paste(Image.fromarray(image), (left + (across - width) // 2, top))
        canvas.paste(text, (left + (across - text.width) // 2, top + height + _GAP // 2))
    return canvas

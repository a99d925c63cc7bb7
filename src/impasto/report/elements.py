"""What the sections of the page are made of: words, pictures, figures."""

import re
from collections.abc import Sequence
from html import escape

from PIL.Image import Image

from impasto.report.pictures import cut, picture_uri, tile_size
from impasto.report.record import Record

# Below this, browsers would blur what are pixels to be seen.
_PIXEL_ART = 128


def moment(record: Record, images: int) -> str:
    """A moment of the run: `12,288 images (epoch 585)`."""
    epochs = record.epochs(images)
    if epochs is None:
        return f"{images:,} images"
    return (
        f"{images:,} images (epoch {epochs:,.0f})"
        if epochs >= 100
        else (f"{images:,} images (epoch {epochs:.1f})")
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f}%" if share < 0.1 else f"{100 * share:.0f}%"


def with_code(text: str) -> str:
    """A sentence for the page, its commands and settings as code."""
    return re.sub(
        r"--set [\w.]+=(?:\.\.\.|\[[^\]]*\]|\w+(?:\.\w+)*)|impasto pack --fit tiles",
        r"<code>\g<0></code>",
        escape(text),
    )


def image(address: str, description: str, kind: str = "") -> str:
    return f'<img class="{kind}" src="{address}" alt="{escape(description, quote=True)}">'


def pixel_class(grid: Image, record: Record) -> str:
    """CSS classes for a grid: small pictures are enlarged by whole pixels."""
    return "pixel fill" if tile_size(grid, record.columns) < _PIXEL_ART else "fill"


def grid_figure(
    record: Record, grid: Image, caption: str, description: str, side: int, exact: bool = False
) -> str:
    """A grid as a figure; where only its first pictures are shown, the caption says so."""
    kept, shown, of = cut(grid, record.columns, side)
    if shown < of:
        caption += f" The first {shown} of {of}."
    pixel = pixel_class(grid, record)
    exact = exact and kept.width * kept.height <= 1024 * 1024
    return (
        f"<figure>{image(picture_uri(kept, exact), description, pixel)}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def chart_card(title: str, drawing: str, explanation: str) -> str:
    """A chart under its title, with what it says beneath."""
    return (
        f'<figure class="card"><h3>{escape(title)}</h3>{drawing}'
        f"<figcaption>{escape(explanation)}</figcaption></figure>"
    )


def table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table of numbers, which scrolls by itself where it is wide; '' without a row.

    Args:
        head: of every column, the first above the rows' names.
        rows: a name, and a `<td>` for each of the other columns, as HTML.
    """
    if not rows:
        return ""
    first, *others = (escape(text) for text in head)
    words = [cell.startswith('<td class="words"') for cell in rows[0][1]]
    heads = "".join(
        f'<th class="words">{text}</th>' if is_words else f"<th>{text}</th>"
        for text, is_words in zip(others, words, strict=True)
    )
    body = "".join(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>" for name, cells in rows)
    return (
        f'<div class="scroll"><table class="numbers"><thead><tr><th>{first}</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )

"""A collection's summary as text, and a contact sheet."""

import math
from collections import Counter

import numpy as np
from PIL import Image

from impasto.collection.encoding import ENCODINGS
from impasto.collection.store import Collection
from impasto.formatting import counted, one_line, padded, terminal_width
from impasto.resolution import Resolution, in_words, long_side, width_and_height

_CLASSES = 30
"""Most classes in a field's table; the most frequent ones are shown."""
_SHEET_PICTURES = 120
"""Most pictures on the contact sheet."""
_SHEET_COLUMNS = 12
_SHEET_CELL = 96
"""Most pixels of a picture's side on the sheet."""
_SHEET_GAP = 2


def summary(collection: Collection) -> str:
    """The name, sizes, splits and the classes of every field, as lines for a terminal."""
    views = collection.views()
    train, heldout, every = (
        np.concatenate([getattr(view, part) for view in views])
        for part in ("train_indices", "heldout_indices", "indices")
    )
    sizes = ", ".join(f"{len(view):,} of {in_words(view.resolution)} pixels" for view in views)
    lines = [
        f"{collection.name}",
        f"  folder      {collection.path}",
        f"  pictures    {sizes}, {collection.fit}",
        f"  stored      {_stored(collection)}",
        f"  from        {_sources(collection, every)}",
        f"  training    {_part(collection, train)}",
        f"  held out    {_part(collection, heldout)}",
        f"  hash        {collection.content_hash}",
    ]
    if (excluded := _excluded(collection)) is not None:
        lines.insert(-1, f"  duplicates  {excluded}")
    if alike := collection.alike_table():
        sets = counted(len({row.get("set") for row in alike}), "set")
        lines.insert(
            -1, f"  alike       {counted(len(alike), 'source picture')} in {sets}, all kept"
        )
    if not collection.fields:
        lines.append("  labels      none")
    # One width for all tables aligns their columns.
    names = [name for field in collection.fields for name in (f"{field.name} (00)", *field.classes)]
    width = max(map(terminal_width, map(one_line, names)), default=0)
    for column in range(len(collection.fields)):
        counts = [
            sum(each) for each in zip(*(view.fields[column].counts for view in views), strict=True)
        ]
        lines += ["", *_field_lines(collection, column, counts, heldout, width)]
    return "\n".join(lines)


def _stored(collection: Collection) -> str:
    """Encoding and size on disk: `raw, 55 MB`; by resolution if there are several."""
    stored = {
        side: f"{ENCODINGS[name].description if name in ENCODINGS else name}, {size / 1e6:,.1f} MB"
        for side, (name, size) in collection.stored().items()
    }
    if len(stored) == 1:
        return stored[collection.resolution]
    return "; ".join(f"at {side} px {says}" for side, says in stored.items())


def _excluded(collection: Collection) -> str | None:
    """`1,356 excluded (1,307 exact, 49 near)`; None where no duplicates were found."""
    rows = collection.duplicates_table()
    kinds = Counter(row.get("kind", "") for row in rows if row.get("kept") == "0")
    if kinds:
        each = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
        return f"{counted(kinds.total(), 'source picture')} excluded ({each})"
    return f"{counted(len(rows), 'source picture')}, all kept" if rows else None


def _part(collection: Collection, indices: np.ndarray) -> str:
    """`1,200 from 4 source pictures`, or `none`."""
    return f"{len(indices):,} from {_sources(collection, indices)}" if len(indices) else "none"


def _sources(collection: Collection, indices: np.ndarray) -> str:
    count = len(np.unique(collection.sources[indices]))
    return counted(count, "source picture")


def _field_lines(
    collection: Collection, column: int, counts: list[int], indices: np.ndarray, width: int
) -> list[str]:
    """The lines of a table of a field's classes.

    Args:
        collection: the opened collection.
        column: the field's column in its labels.
        counts: the number of training pictures of each class.
        indices: indices of the held-out pictures.
        width: columns on the terminal for the names.
    """
    field = collection.fields[column]
    labels = collection.labels[:, column]
    heldout = labels[indices]
    unknown = int((labels == -1).sum())
    shown = sorted(range(len(field.classes)), key=lambda index: -counts[index])[:_CLASSES]
    rows = [
        (
            one_line(field.classes[index]),
            f"{counts[index]:,}",
            f"{int((heldout == index).sum()):,}",
            f"{len(np.unique(collection.sources[labels == index])):,}",
        )
        for index in shown
    ]
    title = (f"{field.name} ({len(field.classes)})", "training", "held out", "sources")
    lines = [
        f"{padded(name, width)}  {train:>9}  {held:>9}  {sources:>9}"
        for name, train, held, sources in [title, *rows]
    ]
    if len(field.classes) > len(shown):
        lines.append(f"... and {counted(len(field.classes) - len(shown), 'class')} more")
    if unknown:
        lines.append(f"unknown for {counted(unknown, 'picture')}")
    return lines


def contact_sheet(collection: Collection) -> Image.Image:
    """A sheet of at most 120 training pictures, evenly spaced in the collection; RGB."""
    # A random picture of each interval, the same at every call.
    generator = np.random.default_rng(0)
    views = collection.views()
    indices = np.concatenate([view.train_indices for view in views])
    count = min(len(indices), _SHEET_PICTURES)
    edges = np.linspace(0, len(indices), count + 1).astype(int)
    chosen = indices[generator.integers(edges[:-1], edges[1:])]
    sizes = [_shown_size(view.resolution) for view in views]
    width, height = (max(sides) for sides in zip(*sizes, strict=True))
    columns = min(_SHEET_COLUMNS, max(1, count))
    across, down = width + _SHEET_GAP, height + _SHEET_GAP
    rows = max(1, math.ceil(count / columns))
    sheet = Image.new("RGB", (columns * across + _SHEET_GAP, rows * down + _SHEET_GAP), "white")
    for view, size in zip(views, sizes, strict=True):
        places = np.flatnonzero((chosen >= view.span.start) & (chosen < view.span.stop))
        for place, pixels in zip(places.tolist(), view.images(chosen[places]), strict=True):
            picture = Image.fromarray(pixels)
            if picture.size != size:
                picture = picture.resize(size, Image.Resampling.LANCZOS)
            left = place % columns * across + (width - size[0]) // 2
            top = place // columns * down + (height - size[1]) // 2
            sheet.paste(picture, (left + _SHEET_GAP, top + _SHEET_GAP))
    return sheet


def _shown_size(resolution: Resolution) -> tuple[int, int]:
    """Width and height in pixels of pictures on the sheet."""
    longest = long_side(resolution)
    cell = min(_SHEET_CELL, max(longest, _SHEET_CELL // 2))
    width, height = width_and_height(resolution)
    return max(1, round(width * cell / longest)), max(1, round(height * cell / longest))

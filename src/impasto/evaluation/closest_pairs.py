"""The closest pairs of a generated and a training picture, and the sheet that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.collection import Collection
from impasto.evaluation.memorisation import Memorisation, Nearest
from impasto.files import atomic_file
from impasto.sampling.grid import shortened, written

_CELL, _GAP, _LINE = 128, 8, 16  # pixels
_PAPER, _MARK = (255, 255, 255), (200, 30, 30)


@dataclass(frozen=True)
class ClosePair:
    """A picture and its nearest training picture."""

    picture: int
    """A sample's seed, or a real picture's index in the collection."""
    row: int
    """The training picture's index in the collection."""
    source: int
    """Its source picture."""
    distance: float
    farther: float | None
    """Share of real pictures that are farther from a training picture: at 0.998 it is nearer than
    99.8% of them. None without real pictures."""
    copied: bool
    """Whether it is nearer than the limit."""


def closest_pairs(found: Memorisation, seeds: Sequence[int], count: int = 8) -> list[ClosePair]:
    """The closest pairs of a sample and a training picture, closest first, at most one for each
    source.

    Args:
        found: of the samples.
        seeds: [B] their names.
        count: how many at most.
    """
    names = np.asarray(seeds, np.int64)
    none = np.arange(-1, -1 - len(names), -1)  # samples have no source; no two the same
    return _closest(found, found.samples, names, none, count)


def closest_real_pairs(found: Memorisation, count: int = 8) -> list[ClosePair]:
    """The closest pairs of a real picture of the reference and a training picture, closest first,
    each source once, for comparison."""
    reference = found.reference
    return _closest(found, reference.nearest, reference.rows, reference.sources, count)


def _closest(
    found: Memorisation, near: Nearest, names: np.ndarray, own: np.ndarray, count: int
) -> list[ClosePair]:
    farther = found.reference.farther(near.distance) if len(found.reference.rows) else None
    pairs: list[ClosePair] = []
    seen: set[int] = set()
    for place in np.argsort(near.distance, kind="stable").tolist():
        if len(pairs) == count:
            break
        sources = {int(near.source[place]), int(own[place])}
        if seen & sources:
            continue
        seen |= sources
        distance = float(near.distance[place])
        pairs.append(
            ClosePair(
                picture=int(names[place]),
                row=int(near.row[place]),
                source=int(near.source[place]),
                distance=distance,
                farther=None if farther is None else float(farther[place]),
                copied=found.limit is not None and distance < found.limit,
            )
        )
    return pairs


def save_sheet(
    path: Path,
    found: Memorisation,
    pairs: Sequence[ClosePair],
    samples: np.ndarray,
    collection: Collection,
    title: str = "",
    captions: Sequence[str] | None = None,
) -> None:
    """Write a PNG: on the left the closest samples, each beside its nearest training picture; on
    the right, for comparison, the closest real pictures beside theirs.

    Args:
        path: of the PNG, written in one step.
        found: the distances that `pairs` come from.
        pairs: from `closest_pairs`.
        samples: uint8 [P, H, W, 3], the pairs' samples.
        collection: of the real pictures.
        title: a line above all.
        captions: of the samples; by default `seed` and the pair's number.

    Raises:
        ImpastoError: it cannot be written.
    """
    reals = closest_real_pairs(found, len(pairs))
    names = [row.get("title") or row.get("path", "") for row in collection.source_table()]
    left = _block(
        "generated, and the nearest training picture (one pair a source picture)",
        captions or [f"seed {pair.picture}" for pair in pairs],
        pairs,
        samples,
        _images(collection, [pair.row for pair in pairs]),
        names,
    )
    right = _block(
        "to compare: real pictures, and theirs",
        [names[int(collection.sources[pair.picture])] for pair in reals],
        reals,
        _images(collection, [pair.picture for pair in reals]),
        _images(collection, [pair.row for pair in reals]),
        names,
    )
    # Two lines only, to keep the text short.
    texts = [title, *found.lines()[:2]]
    if found.limit is not None:
        texts.append("red frame: nearer than 99% of real pictures (so one real one in 100 has it)")
    sheet = _sheet(texts, left, right)
    with atomic_file(path) as temporary:
        sheet.save(temporary, "PNG")


def _images(collection: Collection, rows: Sequence[int]) -> np.ndarray:
    """Pictures of a collection: uint8 [N, H, W, 3]."""
    return collection.images(np.array(rows, np.int64))


def _sheet(texts: Sequence[str], left: Image.Image, right: Image.Image) -> Image.Image:
    """Two blocks side by side under lines of text."""
    width = left.width + right.width + 5 * _GAP
    head = [written(shortened(text, width - 2 * _GAP)) for text in texts if text]
    top = sum(line.height for line in head) + 2 * _GAP
    sheet = Image.new("RGB", (width, top + max(left.height, right.height) + _GAP), _PAPER)
    y = _GAP
    for line in head:
        sheet.paste(line, (_GAP, y))
        y += line.height
    sheet.paste(left, (_GAP, top))
    sheet.paste(right, (left.width + 4 * _GAP, top))
    return sheet


def _block(
    head: str,
    captions: Sequence[str],
    pairs: Sequence[ClosePair],
    pictures: np.ndarray,
    trained: np.ndarray,
    names: Sequence[str],
) -> Image.Image:
    """Pairs one below another, captions beside them."""
    beside = 260
    width, height = 2 * _CELL + 2 * _GAP + beside, _CELL + 2 * _GAP
    block = Image.new("RGB", (width, _LINE + _GAP + max(1, len(pairs)) * height), _PAPER)
    block.paste(written(head), (_GAP, 0))
    if not pairs:
        block.paste(written("none"), (_GAP, _LINE + _GAP))
    for number, (caption, pair) in enumerate(zip(captions, pairs, strict=True)):
        y = _LINE + _GAP + number * height
        if pair.copied:
            frame = Image.new("RGB", (2 * _CELL + _GAP, _CELL + _GAP), _MARK)
            block.paste(frame, (_GAP // 2, y + _GAP // 2))
        for place, pixels in enumerate((pictures[number], trained[number])):
            block.paste(_scaled(pixels), (_GAP + place * _CELL, y + _GAP))
        texts = (
            caption,
            f"next to: {names[pair.source]}",
            f"distance {pair.distance:.3f}",
            ""
            if pair.farther is None
            else f"nearer than {_rounded_down(pair.farther)} real pictures",
        )
        for line, text in enumerate(texts):
            label = written(shortened(text, beside - 2 * _GAP))
            block.paste(label, (2 * _CELL + 3 * _GAP, y + _GAP + line * _LINE))
    return block


def _rounded_down(share: float) -> str:
    """A share as text, rounded down so that 100% means all."""
    return "all" if share == 1 else f"{np.floor(share * 1000) / 10:.1f}% of"


def _scaled(pixels: np.ndarray) -> Image.Image:
    """A picture scaled into a cell, in its middle; small ones are enlarged by nearest neighbour."""
    picture = Image.fromarray(pixels)
    small = max(picture.size) < _CELL
    how = Image.Resampling.NEAREST if small else Image.Resampling.BOX
    width, height = (max(1, round(side * _CELL / max(picture.size))) for side in picture.size)
    cell = Image.new("RGB", (_CELL, _CELL), _PAPER)
    cell.paste(picture.resize((width, height), how), ((_CELL - width) // 2, (_CELL - height) // 2))
    return cell

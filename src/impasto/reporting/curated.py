"""The pictures that the discriminator chose, as `impasto sample --curate --to-report` wrote them."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image

from impasto.config import read_record
from impasto.errors import ImpastoError
from impasto.files import sha256_of_file
from impasto.formatting import percent, quoted
from impasto.reporting.elements import (
    Figure,
    PageImage,
    folded,
    moment,
    pixel_kind,
    run_in_commands,
)
from impasto.reporting.figures_of_works import figures_of
from impasto.reporting.pictures import Pixels, joined, open_picture, picture_uri
from impasto.reporting.record import RunRecord
from impasto.reporting.rendering import render
from impasto.sampling.curated import CuratedGroup, CuratedRecord, curated_grid, curated_record
from impasto.sampling.grid import columns_of

# Most classes shown at once; the others unfold.
_FIRST_CLASSES = 10
# Largest side of a picture in pixels.
_MOST_SIDE = 192


@dataclass(frozen=True)
class _Choice:
    """The best or the worst pictures.

    Attributes:
        extreme: `best` or `worst`.
        about: their record.
        tiles: [groups, kept, side, side, 3].
    """

    extreme: str
    about: CuratedRecord
    tiles: Pixels


def curated_section(record: RunRecord) -> Markup:
    """The best and the worst pictures by the discriminator, or the commands that choose them; '' if
    this run's discriminator cannot choose."""
    found = {extreme: _read(record, extreme) for extreme in ("best", "worst")}
    choices = [choice for choice in found.values() if choice is not None]
    if not choices and not _can_choose(record):
        return Markup()
    titles = [group.title for choice in choices for group in choice.about.groups]
    order = list(dict.fromkeys(titles))
    run = run_in_commands(record)
    return render(
        "curated",
        works=figures_of(record),
        judges=sorted({choice.about.judge for choice in choices if choice.about.judge}),
        by_class=any(group.confidence for choice in choices for group in choice.about.groups),
        says=[_says(record, choice) for choice in choices],
        classes=folded(
            list(range(len(order))),
            lambda places: [(order[place], _figures(choices, order[place])) for place in places],
            _FIRST_CLASSES,
        ),
        commands=[
            (extreme, f"impasto sample {quoted(run)} --curate {extreme} --to-report")
            for extreme, choice in found.items()
            if choice is None
        ],
    )


def _can_choose(record: RunRecord) -> bool:
    """Whether the discriminator can choose by itself: it names the classes of the run's first label
    field, or the run has none."""
    labels = record.get("config", "labels", default=[])
    if not len(record.images_seen) or not isinstance(labels, list):
        return False
    return not labels or f"accuracy/{labels[0]}/real" in record.series


def _read(record: RunRecord, extreme: str) -> _Choice | None:
    """A grid and its record, if both are there and belong together."""
    path = curated_grid(record.folder, worst=extreme == "worst")
    grid = open_picture(path)
    if grid is None or not curated_record(path).is_file():
        return None
    try:
        about = read_record(curated_record(path), "record", CuratedRecord)
    except ImpastoError:
        return None
    if about.grid_sha256 != sha256_of_file(path) or not about.groups:
        return None
    return _Choice(extreme, about, _tiles(grid, about, record.tall))


def _tiles(grid: Image.Image, about: CuratedRecord, tall: float) -> Pixels:
    """The pictures of a grid: [groups, kept, H, W, 3].

    With several groups each has a row, with its name on the left.
    """
    groups, kept = len(about.groups), about.groups[0].kept
    columns = kept if groups > 1 else columns_of(kept)
    rows = groups if groups > 1 else -(-kept // columns)
    height = grid.height // rows
    width = round(height / tall)
    pixels = np.asarray(grid)[:, grid.width - columns * width :]
    tiles = pixels.reshape(rows, height, columns, width, 3).swapaxes(1, 2)
    # The rest of a single group's last row is empty.
    return tiles.reshape(groups, -1, height, width, 3)[:, :kept]


def _says(record: RunRecord, choice: _Choice) -> str:
    """What was chosen: `The 8 best of 512 of each class, after 12,288 images (epoch 5.5).`"""
    about = choice.about
    of = " of each class" if len(about.groups) > 1 else ""
    cut = f", with truncation {about.truncation:g}" if about.truncation is not None else ""
    return (
        f"The {about.groups[0].kept} {choice.extreme} of {about.candidates:,}{of}, after "
        f"{moment(record, about.images_seen)}{cut}."
    )


def _figures(choices: list[_Choice], title: str) -> list[Figure]:
    """The pictures of a class by each choice that has it."""
    figures = []
    for choice in choices:
        for group, tiles in zip(choice.about.groups, choice.tiles, strict=True):
            if group.title == title:
                picture = _picture(tiles, f"the {choice.extreme} pictures {title}".strip())
                figures.append(Figure(picture, f"The {choice.extreme}: {_scores(group)}."))
    return figures


def _picture(tiles: Pixels, description: str) -> PageImage:
    """A class's pictures [kept, H, W, 3] as one, in rows of five, four or three if possible."""
    kept, height, width = tiles.shape[:3]
    across = next((columns for columns in (5, 4, 3) if kept % columns == 0), kept)
    picture = joined(tiles.reshape(-1, across, *tiles.shape[1:]))
    if width > _MOST_SIDE:
        size = (across * _MOST_SIDE, kept // across * round(height * _MOST_SIDE / width))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return PageImage(picture_uri(picture), description, pixel_kind(width))


def _scores(group: CuratedGroup) -> str:
    """Medians of the kept pictures and of all candidates, in words."""
    parts = []
    if group.realness is not None:
        parts.append("realness {:.3g} (of all {:.3g})".format(*group.realness))
    if group.confidence is not None:
        kept, every = map(percent, group.confidence)
        parts.append(f"confidence {kept} (of all {every})")
    return ", ".join(parts)

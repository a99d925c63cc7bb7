"""A run's pictures by class: the same latents in every class, each class over time and at two
moments.

They are read from the class grids of training (a row for each latent, a column for each class).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from impasto.diagnosis.classes import IGNORED_BELOW, LEAST_CHANGE, OBVIOUS_ABOVE, Classes
from impasto.reporting.charts import Line
from impasto.reporting.curves import Charts
from impasto.reporting.elements import Card, Figure, Folded, PageImage, folded, moment, pixel_kind
from impasto.reporting.grid_files import ClassGrids
from impasto.reporting.pictures import Pixels, evenly, joined, open_picture, picture_uri
from impasto.reporting.record import RunRecord
from impasto.reporting.rendering import render
from impasto.reporting.scores_by_class import (
    CLASSES_IN_A_CHART,
    ClassTables,
    by_size,
    class_charts,
    class_tables,
)

# Most grids measured, and most moments side by side.
_MOST_MEASURED, _MOST_MOMENTS = 24, 8
# Most classes shown at once, the most frequent ones; the others unfold.
_FIRST_CLASSES = 10
# Most pixels of a side: of a small picture, and of the newest grid.
_SMALL_SIDE, _GRID_SIDE = 128, 2048
# Largest lossless file of a small picture, since there are many.
_MOST_PNG = 10_000


# Measured


def measure(record: RunRecord) -> list[Classes]:
    """The class grids' distances for each label field that the run is conditioned on."""
    found = []
    for grids in record.class_grids:
        moments = [grids.grids[place] for place in evenly(len(grids.grids), _MOST_MEASURED)]
        measured = [
            (seen, *both) for seen, path in moments if (both := distances(path, grids)) is not None
        ]
        table = np.array(measured, dtype=np.float64).reshape(-1, 3)
        found.append(
            Classes(
                grids.field,
                _chance(record, grids),
                table[:, 0].astype(np.int64),
                table[:, 1],
                table[:, 2],
                balanced=record.balance == grids.field,
            )
        )
    return found


def _chance(record: RunRecord, grids: ClassGrids) -> float:
    """The largest class's share of the pictures in training."""
    field = next((field for field in record.fields if field.name == grids.field), None)
    if field is None or not field.known or record.balance == grids.field:
        return 1 / len(grids.classes)
    return record.commonest(field)


def distances(path: Path, grids: ClassGrids) -> tuple[float, float] | None:
    """Mean distance between two classes' pictures of one latent, and between two latents' of one
    class.

    The distance of two pictures is the root mean square difference after averaging to 16 pixels a
    side, as a share of the way from black to white, as in `diversity/fake`. None if the grid cannot
    be read, or has a single class or latent. Of several sizes it is the mean of those that have several
    latents.
    """
    grid = _open(path, grids)
    columns = len(grids.classes)
    if grid is None or columns < 2:
        return None
    tiles = _tiles(grid, grids.rows, columns)
    found = []
    for place, size in enumerate(grids.sizes or [(tiles.shape[3], tiles.shape[2])]):
        mine = _middle(tiles[place :: max(1, len(grids.sizes))], size)
        rows, _, height, width = mine.shape[:4]
        if rows < 2:
            continue
        # Averaging the whole grid mixes no pictures, since their borders fall on whole pixels.
        sides = columns * min(16, width), rows * min(16, height)
        small = joined(mine).resize(sides, Image.Resampling.BOX)
        pictures = _tiles(small, rows, columns).reshape(rows, columns, -1) / 255.0
        found.append((_mean_distance(pictures), _mean_distance(pictures.swapaxes(0, 1))))
    if not found:
        return None
    by_class, by_latent = np.array(found).mean(axis=0)
    return float(by_class), float(by_latent)


def _middle(tiles: Pixels, size: tuple[int, int]) -> Pixels:
    """The pictures of a size in the middle of their places: [rows, columns, H, W, 3]."""
    (height, width), (across, down) = tiles.shape[2:4], size
    left, top = (width - across) // 2, (height - down) // 2
    return tiles[:, :, top : top + down, left : left + across]


def _mean_distance(groups: NDArray[np.float64]) -> float:
    """Mean distance between two pictures of a group: [G, N, values] to a number."""
    first, second = np.triu_indices(groups.shape[1], k=1)
    squares = np.square(groups[:, first] - groups[:, second]).mean(axis=2)
    return float(np.sqrt(squares).mean())


# Grids and their pictures


def _open(path: Path, grids: ClassGrids) -> Image.Image | None:
    """A grid, if it is readable and has the number of pictures in the run's record."""
    grid = open_picture(path)
    columns = len(grids.classes)
    if grid is None or grid.width % columns or grid.height % grids.rows:
        return None
    if grids.sizes and grid.width // columns != max(width for width, _ in grids.sizes):
        return None
    return grid if grid.height // grids.rows == round(grid.width // columns * grids.tall) else None


def _tiles(grid: Image.Image, rows: int, columns: int) -> Pixels:
    """The pictures of a grid: [rows, columns, H, W, 3]."""
    pixels = np.asarray(grid)
    width, height = grid.width // columns, grid.height // rows
    return pixels.reshape(rows, height, columns, width, 3).swapaxes(1, 2)


def _shrunk(grid: Image.Image, columns: int, rows: int, most: int) -> Image.Image:
    """A grid with its pictures at most `most` pixels wide."""
    if grid.width <= columns * most:
        return grid
    height = grid.height // rows * columns * most // grid.width
    return grid.resize((columns * most, rows * height), Image.Resampling.LANCZOS)


# Shown


@dataclass(frozen=True)
class _Shown:
    """The grids of a label field for display.

    Attributes:
        order: columns of its grids, the most frequent class first.
        newest: (images seen, grid) of the last grid that can be read.
        moments: (images seen, small pictures [R, K, side, side, 3]), the earliest first.
        halfway: the grid nearest to half of the images seen.
        measured: the grids' distances.
    """

    record: RunRecord
    grids: ClassGrids
    order: list[int]
    newest: tuple[int, Image.Image]
    moments: list[tuple[int, Pixels]]
    halfway: tuple[int, Pixels] | None
    measured: Classes
    charts: Charts

    def name(self, column: int) -> str:
        return self.grids.classes[column]


def _shown(
    record: RunRecord, grids: ClassGrids, measured: Classes, charts: Charts
) -> _Shown | None:
    newest = next(
        (
            (seen, grid)
            for seen, path in reversed(grids.grids)
            if (grid := _open(path, grids)) is not None
        ),
        None,
    )
    if newest is None:
        return None
    columns = len(grids.classes)
    order = [grids.classes.index(name) for name in by_size(record, grids.field, grids.classes)]
    # While the discriminator trains alone, the generator's pictures do not change.
    waiting = sum(seen <= record.pretrain_images for seen, _ in grids.grids)
    changing = grids.grids[max(0, waiting - 1) :]

    def small(seen: int, path: Path) -> list[tuple[int, Pixels]]:
        grid = _open(path, grids)
        if grid is None:
            return []
        return [
            (seen, _tiles(_shrunk(grid, columns, grids.rows, _SMALL_SIDE), grids.rows, columns))
        ]

    places = evenly(len(changing), _MOST_MOMENTS)
    moments = [taken for place in places for taken in small(*changing[place])]
    half = min(changing, key=lambda item: abs(2 * item[0] - newest[0]))
    halfway = next(iter(small(*half)), None) if half[0] < newest[0] else None
    return _Shown(record, grids, order, newest, moments, halfway, measured, charts)


@dataclass(frozen=True)
class _OneNoise:
    """The newest grid with its classes' names, and how much the class changes a picture."""

    when: str
    across: int
    bands: Folded[tuple[list[str], PageImage]]
    says: str
    card: list[Card]


@dataclass(frozen=True)
class _ClassesOverTime:
    """For each class, one latent at several moments (images seen)."""

    times: list[int]
    rows: Folded[list[tuple[str, PageImage]]]


@dataclass(frozen=True)
class _TwoMoments:
    """For each class, several latents halfway and now."""

    latents: str
    cards: Folded[list[tuple[str, list[Figure]]]]


@dataclass(frozen=True)
class _ClassScores:
    """Scores by class: over time with a line for each class, and the newest as a table."""

    charts: Folded[list[Card]]
    tables: Folded[ClassTables | None]


def classes_section(record: RunRecord, measured: list[Classes], charts: Charts) -> Markup:
    """The sections by class, one for each label field; '' for a run without classes."""
    fields = []
    for grids, classes in zip(record.class_grids, measured, strict=True):
        shown = _shown(record, grids, classes, charts)
        if shown is not None:
            fields.append(
                {
                    "name": grids.field,
                    "one_noise": _one_noise(shown),
                    "over_time": _over_time(shown),
                    "two_moments": _two_moments(shown),
                    "scores": _scores(shown),
                }
            )
    return (
        render("classes", choice=charts.choice, works=charts.works, fields=fields)
        if fields
        else Markup()
    )


def _one_noise(shown: _Shown) -> _OneNoise:
    seen, grid = shown.newest
    count, rows = len(shown.order), shown.grids.rows
    across = min(count, _FIRST_CLASSES)
    tiles = _tiles(_shrunk(grid, count, rows, _GRID_SIDE // across), rows, count)
    kind = pixel_kind(grid.width // count)

    def band(columns: list[int]) -> tuple[list[str], PageImage]:
        names = [shown.name(column) for column in columns]
        description = f"the same latents in the classes {', '.join(names)}"
        return names, PageImage(picture_uri(joined(tiles[:, columns])), description, kind)

    in_size = " in one size" if shown.grids.sizes else ""
    when = (
        f"After {moment(shown.record, seen)}. A row is one latent{in_size}, a column one class"
        f"{', the most frequent first' if count > 1 else ''}."
    )
    bands = folded(shown.order, band, _FIRST_CLASSES)
    return _OneNoise(
        when, across, bands, class_effect_in_words(shown.measured), _measured_card(shown)
    )


def class_effect_in_words(classes: Classes) -> str:
    """How much the class matters in the newest grid, in words; '' without a grid."""
    if not len(classes.images_seen):
        return ""
    by_class, by_latent = float(classes.by_class[-1]), float(classes.by_latent[-1])
    measured = (
        f"Under the same latent, another class changes the picture by {by_class:.3f}; within a "
        f"class, another latent does by {by_latent:.3f} (0: not at all, 1: from black to white)"
    )
    if by_latent < LEAST_CHANGE:
        if by_class < LEAST_CHANGE:
            return f"{measured}: all pictures look alike so far."
        return f"{measured}: a class is always the same picture, whatever the latent."
    times = by_class / by_latent
    if times < IGNORED_BELOW:
        verdict = "the class hardly changes the picture"
    elif times < OBVIOUS_ABOVE:
        verdict = "the class matters, but less than the latent"
    else:
        verdict = "the classes differ to the eye"
    return f"{measured}: {times:.2g} times as much, so {verdict}."


def _measured_card(shown: _Shown) -> list[Card]:
    """A chart of how much class and latent change a picture, if there are enough moments."""
    classes = shown.measured
    if len(classes.images_seen) < 3:
        return []
    card = shown.charts.draw(
        f"What changes a picture: {shown.grids.field}",
        classes.images_seen,
        [
            Line("another class, same latent", classes.by_class),
            Line("another latent, same class", classes.by_latent),
        ],
        "Mean distance of two such pictures of the grid. The nearer the first line comes to the "
        "second, or the further above it, the more the class shows.",
        from_zero=True,
    )
    return [card]


def _over_time(shown: _Shown) -> _ClassesOverTime | None:
    if len(shown.moments) < 2:
        return None
    first = np.stack([tiles[0] for _, tiles in shown.moments], axis=1)  # [K, moments, ...]

    def rows(columns: list[int]) -> list[tuple[str, PageImage]]:
        return [
            (name, _small(first[[column]], f"{name} over time"))
            for column in columns
            for name in [shown.name(column)]
        ]

    times = [seen for seen, _ in shown.moments]
    return _ClassesOverTime(times, folded(shown.order, rows, _FIRST_CLASSES))


def _two_moments(shown: _Shown) -> _TwoMoments | None:
    if shown.halfway is None or not shown.moments or shown.halfway[0] >= shown.moments[-1][0]:
        return None
    both = shown.halfway, shown.moments[-1]
    rows = shown.grids.rows
    across = 4 if rows % 4 == 0 else rows

    def card(column: int) -> tuple[str, list[Figure]]:
        name, figures = shown.name(column), []
        for seen, tiles in both:
            pictures = tiles[:, column].reshape(-1, across, *tiles.shape[2:])
            drawn = _small(pictures, f"{name} after {seen:,} images")
            figures.append(Figure(drawn, moment(shown.record, seen)))
        return name, figures

    def cards(columns: list[int]) -> list[tuple[str, list[Figure]]]:
        return [card(column) for column in columns]

    latents = f"{rows} latents, the same in all" if rows > 1 else "one latent, the same in all"
    if shown.grids.sizes:
        latents = f"{rows} pictures, of the same latents and sizes in all"
    return _TwoMoments(latents, folded(shown.order, cards, _FIRST_CLASSES))


def _small(tiles: Pixels, description: str) -> PageImage:
    """A few small pictures [rows, columns, H, W, 3] as one image."""
    address = picture_uri(joined(tiles), most_png=_MOST_PNG)
    return PageImage(address, description, pixel_kind(tiles.shape[3]))


def _scores(shown: _Shown) -> _ClassScores | None:
    record, field = shown.record, shown.grids.field

    def names(columns: list[int]) -> list[str]:
        return [shown.name(column) for column in columns]

    drawn = folded(
        shown.order,
        lambda columns: class_charts(record, field, names(columns), shown.charts),
        CLASSES_IN_A_CHART,
    )
    tables = folded(
        shown.order,
        lambda columns: class_tables(record, field, names(columns)),
        _FIRST_CLASSES,
    )
    return _ClassScores(drawn, tables) if drawn.first or tables.first else None
